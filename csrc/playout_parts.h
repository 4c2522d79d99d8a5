/* playout_parts.h - what the parts of the playout share: playout.c, the loop thread's; playout_sound.c (policies FIXED and BURST),
 * playout_paced.c (PACED) and playout_ledger.c, the playback thread's.
 *
 * Not for other files. Every atomic of rt_playout has one writer, and the struct's groups in playout.h say which thread that is: it is
 * stored to from that thread's files alone, and loaded in all. There is no other way between the threads but the span ring.
 */
#ifndef RT_PLAYOUT_PARTS_H
#define RT_PLAYOUT_PARTS_H

#include "playout.h"

#include <string.h>

static inline uint64_t get64(const _Atomic uint64_t *value) { return atomic_load_explicit(value, memory_order_acquire); }
static inline uint32_t get32(const _Atomic uint32_t *value) { return atomic_load_explicit(value, memory_order_acquire); }

/* Only by the value's one writer. */
static inline void set64(_Atomic uint64_t *value, uint64_t to) { atomic_store_explicit(value, to, memory_order_release); }
static inline void set32(_Atomic uint32_t *value, uint32_t to) { atomic_store_explicit(value, to, memory_order_release); }
static inline void add64(_Atomic uint64_t *value, uint64_t more)
{
    set64(value, atomic_load_explicit(value, memory_order_relaxed) + more);
}

static inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static inline rt_resample *resampler(rt_playout *p) { return (rt_resample *)((unsigned char *)p + p->resample_offset); }
static inline rt_ring *spans(const rt_playout *p) { return (rt_ring *)((unsigned char *)(uintptr_t)p + p->spans_offset); }
static inline unsigned char *data(rt_playout *p) { return (unsigned char *)p + p->data_offset; }
static inline rt_paced *paced_of(const rt_playout *p) { return (rt_paced *)((unsigned char *)(uintptr_t)p + p->paced_offset); }

/* ---- playout_ledger.c: the playback thread's counts; row RT_LAG_NONE is nobody's ---- */

typedef void rt_playout_count(rt_playout *p, int32_t row, uint32_t frames);

rt_playout_count rt_playout_count_played, rt_playout_count_faded, rt_playout_count_discarded;
/* `frames` left for good, `waited` samples at RT_RATE after they had come, when `target` was to be waited. */
void rt_playout_count_emitted(rt_playout *p, uint32_t frames, uint64_t waited, uint64_t target);
/* Gives `count` what is beyond the last `keep` samples of the line. */
void rt_playout_drain_lag(rt_playout *p, rt_lag *lag, uint32_t keep, rt_playout_count *count);

/* ---- playout_packets.c: the queue of the paced policy ---- */

size_t rt_paced_size(const rt_playout_config *config, uint32_t frame_bytes); /* 0 for other policies */
int rt_paced_init(rt_playout *p);
/* Takes over what the loop thread pushed. While fading the generation that sounds is not dead yet. */
void rt_paced_take(rt_playout *p, uint32_t dead, int fading) RT_NONBLOCKING;
/* Discards the sound that waits, of generations up to `dead`; its time stays. */
void rt_paced_void(rt_playout *p, uint32_t dead) RT_NONBLOCKING;
void rt_paced_discard(rt_playout *p, int32_t row, uint32_t frames) RT_NONBLOCKING;
void rt_paced_pass_ends(rt_playout *p) RT_NONBLOCKING;
/* Sound went into the resampler, or was skipped there; source samples were made up behind it; all inside goes out in a fade. */
void rt_paced_note_sound(rt_playout *p, int32_t row, uint32_t frames, int skipped) RT_NONBLOCKING;
void rt_paced_note_made_up(rt_playout *p, uint32_t frames) RT_NONBLOCKING;
void rt_paced_note_fade(rt_playout *p) RT_NONBLOCKING;

/* ---- playout_paced.c: its sound ---- */

void rt_paced_process(rt_playout *p, uint32_t dead, float *out) RT_NONBLOCKING;

#endif
