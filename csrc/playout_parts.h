/* playout_parts.h - what the two halves of the playout share: playout.c, the loop thread's, and playout_sound.c, the playback thread's.
 *
 * Not for other files. Every atomic of rt_playout has one writer, and the struct's groups in playout.h say which thread that is: it is
 * stored to from that thread's file alone, and loaded in both. There is no other way between the threads but the span ring.
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

#endif
