/* gate.h - decides which captured hops are sent, as sound, as silence or not at all, and remembers the last 2.5 s.
 *
 * One hop of mono float (RT_HOP samples) goes in, a plan comes out: so many hops of sound starting at a captured hop number, then
 * perhaps one hop of digital silence. The hops named by the plan are read with rt_gate_hop before the next process.
 *
 * Modes. OFF: everything is sent. SILENCE: closed, silence is sent in place of sound; on opening the last preroll_ms go out as extra
 * sound, and the same amount of silence is left out once it is closed and no turn is open on the server (turn_open). PAUSE: closed,
 * nothing is sent; it closes only with no turn open and linger_ms after the last speech, since a server that hears no silence never
 * ends the turn.
 * The gate opens after two hops at open_threshold or above and closes hold_ms after the last hop at close_threshold or above.
 *
 * Hold (see interrupt.h) works in every mode: from RT_HOLD_ON sound is kept back and silence sent in its place, RT_HOLD_SEND sends
 * what was held with its pre-roll, RT_HOLD_DROP forgets it. Sound that is late (pre-roll, held) is sent at most 1 + RT_GATE_BURST hops
 * per process, so the work of one hop is bounded. What would fall out of the 2.5 s is dropped and counted.
 *
 * While somebody holds the button of push-to-talk (rt_gate_talk) all of it is sent as it is captured, in every mode: without pre-roll, since
 * nothing was said before, and without a hold.
 *
 * One gate serves one stream on one thread. It adds no delay. State is flat, about 250 kB.
 */
#ifndef RT_GATE_H
#define RT_GATE_H

#include "rt.h"

/* cdef begin */
typedef struct rt_gate rt_gate;

enum rt_gate_mode { RT_GATE_OFF = 0, RT_GATE_SILENCE = 1, RT_GATE_PAUSE = 2 };
enum rt_hold { RT_HOLD_OFF = 0, RT_HOLD_ON = 1, RT_HOLD_SEND = 2, RT_HOLD_DROP = 3 };
enum { RT_GATE_BURST = 8, RT_GATE_HISTORY = 256 };

typedef struct rt_gate_config {
    int mode;              /* enum rt_gate_mode */
    float open_threshold;  /* 0..1, probability of speech */
    float close_threshold; /* 0..open_threshold */
    uint32_t hold_ms;      /* 0..10000 */
    uint32_t preroll_ms;   /* 0..500 */
    uint32_t linger_ms;    /* 0..60000, PAUSE only */
} rt_gate_config;

typedef struct rt_gate_plan {
    uint64_t first;   /* captured hop number of the first hop of sound */
    uint32_t sound;   /* hops of sound, 0..1 + RT_GATE_BURST */
    uint32_t silence; /* hops of silence after them, 0 or 1 */
} rt_gate_plan;

typedef struct rt_gate_stats {
    uint64_t hops;         /* captured */
    uint64_t sound_hops;   /* sent as sound */
    uint64_t silence_hops; /* sent as silence */
    uint64_t omitted_hops; /* not sent at all */
    uint64_t held_hops;    /* dropped by RT_HOLD_DROP */
    uint64_t lost_hops;    /* fell out of the history before they could be sent */
    uint64_t settled;      /* no captured hop before this one will still be sent */
    int open;
} rt_gate_stats;

size_t rt_gate_size(void);
/* Values outside the ranges above give RT_BAD_ARGUMENT. */
int rt_gate_init(rt_gate *gate, const rt_gate_config *config);
int rt_gate_valid(const rt_gate_config *config); /* what init looks at first; 1 or 0 */
void rt_gate_reset(rt_gate *gate);
void rt_gate_process(rt_gate *gate, const float *hop, float probability, int hold, int turn_open, rt_gate_plan *plan) RT_NONBLOCKING;
/* Before a process: whether the button of push-to-talk is held in its hop. */
void rt_gate_talk(rt_gate *gate, int talk) RT_NONBLOCKING;
/* The samples of captured hop `number`, which must be one the last plan names. */
const float *rt_gate_hop(const rt_gate *gate, uint64_t number) RT_NONBLOCKING;
void rt_gate_read_stats(const rt_gate *gate, rt_gate_stats *stats);
uint32_t rt_gate_latency(const rt_gate *gate); /* samples: 0 */
/* cdef end */

struct rt_gate {
    rt_gate_config config;
    uint32_t hold_hops, preroll_hops, linger_hops;
    int open, holding, talk;
    uint32_t loud_hops;   /* in a row at or above open_threshold */
    uint32_t quiet_hops;  /* since the last hop at or above close_threshold */
    uint64_t now;         /* number of the next captured hop */
    uint64_t cursor;      /* next hop to be sent as sound */
    uint64_t limit;       /* sound before this hop may be sent while closed or holding */
    uint64_t ahead;       /* hops sent beyond the captured ones, to be left out at the next closing */
    rt_gate_stats stats;
    float history[RT_GATE_HISTORY][RT_HOP];
};

#endif
