/* interrupt.h - barge-in as a state machine: duck, then confirm or restore. Decided in the hop in which speech is heard.
 *
 * Goes in, once per hop on the capture thread: the probability of near-end speech, the generation being played (0: silence) and the newest
 * generation opened. Comes out: the generation to duck (0: none), the generation to discard (latched, never falls), what to do
 * with the captured sound, and what changed.
 *
 *   IDLE ──speech while playing──▶ DUCKED ──sustained speech, or 2 s of hold──▶ CONFIRMED ──silence or a newer generation plays──▶ IDLE
 *                                    └──restore_ms without speech, or playback ended──▶ IDLE
 *
 * Sustained: a hop of speech counts 10 ms, a hop without takes 5 ms away, and the hop in which confirm_ms are counted confirms. A hop that is
 * not sure counts less: nothing at `threshold`, all of it from `sure` on, in proportion between them; so what is hardly speech ducks at once,
 * since that is soon taken back, and has to go on longer to end a reply. The onset
 * counts: sure speech without a gap confirms in hop ceil(confirm_ms / 10), the one that ducks being hop 1 (100: nine hops after it; 10: in it,
 * then both changes are reported at once and nothing is held). Likewise restore: in hop ceil(restore_ms / 10) of a row without speech.
 * From DUCKED the captured sound is held; CONFIRMED sends it, restore drops it (a cough), the end of playback sends it (nothing was left
 * to interrupt).
 * Policies: EITHER and LOCAL confirm here; SERVER ducks here, leaves the decision to the server and so does not hold; NEVER does
 * nothing. A latch is one number with one writer, so whatever is queued of that generation or older dies however late others wake up.
 *
 * One thread. No delay. Constant work.
 */
#ifndef RT_INTERRUPT_H
#define RT_INTERRUPT_H

#include "gate.h"
#include "rt.h"

/* cdef begin */
typedef struct rt_interrupt rt_interrupt;

enum rt_policy { RT_POLICY_EITHER = 0, RT_POLICY_LOCAL = 1, RT_POLICY_SERVER = 2, RT_POLICY_NEVER = 3 };
/* Bits: DUCKED and CONFIRMED may come together. */
enum rt_change { RT_CHANGE_NONE = 0, RT_CHANGE_DUCKED = 1, RT_CHANGE_CONFIRMED = 2, RT_CHANGE_RESTORED = 4, RT_CHANGE_RELEASED = 8 };

typedef struct rt_interrupt_config {
    int policy;          /* enum rt_policy */
    float threshold;     /* 0..1, probability from which a hop is speech */
    uint32_t confirm_ms; /* 10..1000 */
    uint32_t restore_ms; /* 10..2000 */
    float sure;          /* 0..1, probability from which a hop counts wholly; up to threshold: every hop of speech does */
} rt_interrupt_config;

typedef struct rt_interrupt_result {
    uint32_t duck;  /* duck what belongs to this generation or an older one; 0: nothing */
    uint32_t latch; /* discard what belongs to this generation or an older one */
    int hold;       /* enum rt_hold, for the gate */
    int change;     /* enum rt_change, those of this hop */
} rt_interrupt_result;

size_t rt_interrupt_size(void);
int rt_interrupt_init(rt_interrupt *interrupt, const rt_interrupt_config *config);
int rt_interrupt_valid(const rt_interrupt_config *config); /* what init looks at first; 1 or 0 */
void rt_interrupt_reset(rt_interrupt *interrupt);
/* One hop. `result` is written whole every time. */
void rt_interrupt_process(rt_interrupt *interrupt, float probability, uint32_t playing, uint32_t newest,
                          rt_interrupt_result *result) RT_NONBLOCKING;
uint32_t rt_interrupt_latency(const rt_interrupt *interrupt); /* samples: 0 */
/* cdef end */

struct rt_interrupt {
    rt_interrupt_config config;
    int state;
    uint32_t duck, latch;
    uint32_t speech; /* counted, in parts of HOP_SHARES of a hop */
    uint32_t quiet_hops, held_hops;
};

#endif
