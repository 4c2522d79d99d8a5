/* stretch.h - plays one mono stream slower or faster with its pitch kept (WSOLA: waveform-similarity overlap-add).
 *
 * Float samples at 8000 or 24 000 Hz. Sound passes as it is; once 1.25 ms are owed to the asked rate, the stream jumps back (slower) or
 * ahead (faster) by a lag of 10 to 20 ms, under a 5 ms cross-fade. The lag is the one at which the sound resembles itself most, so it is a
 * whole number of pitch periods, of every voice and tone of 50 Hz or more; the cross-fade keeps the power whatever the resemblance (so
 * full-scale noise may peak 3 dB higher in it). Where nothing resembles (an onset) the jump is put off until 10 ms are owed. In digital
 * silence nothing is searched.
 *
 * The source stays with the caller: each call is shown what is at hand and says how much of it it has consumed; the rest is shown again.
 * A source sample is consumed when its sound has left at its own place: one that only left inside a cross-fade, and will sound again,
 * is not; one that was skipped is. Consumed and written never differ from the sum of rates by more than 30 ms of the source.
 * The output depends on the source, the rates and what was at hand, not on how it is cut into calls.
 *
 * Rate 1 with nothing left to repeat is a copy, bit for bit, without a search. Delay: none, in both senses: a call can write as many
 * samples as are at hand. To jump back 5 ms must be at hand, to jump ahead 15 to 25; a jump that cannot be made is put off.
 *
 * A flat struct without pointers; one thread. Work per call: the samples written and at most one search (at 24 kHz 61 lags of 60
 * products, then 7 of 240; at 8 kHz 81 of 80), no two searches within 5 ms of sound written. Nothing can go wrong: a rate outside 0.5..2
 * is clamped, a NaN is 1.
 */
#ifndef RT_STRETCH_H
#define RT_STRETCH_H

#include "rt.h"

/* cdef begin */
typedef struct rt_stretch rt_stretch;

/* What one call did. Its output is, in this order: what follows a jump, if there was one; repeated sound; new sound. */
typedef struct rt_stretch_step {
    uint32_t made;     /* samples written */
    uint32_t consumed; /* source samples done with, skipped ones included */
    uint32_t repeated; /* of those written, how many came before any new one */
    uint32_t inserted; /* a jump back of so many samples began this call */
    uint32_t removed;  /* a jump ahead of so many did */
} rt_stretch_step;

size_t rt_stretch_size(void);
int rt_stretch_init(rt_stretch *stretch, uint32_t rate_hz); /* RT_BAD_ARGUMENT for rates other than 8000 and 24000 */
void rt_stretch_reset(rt_stretch *stretch) RT_NONBLOCKING;  /* a new stream: no past, nothing owed */

/* Writes up to `want` samples, at most 10 ms, from `available` ones; may stop short at the place of a jump: call again until it makes
 * none. `rate` 0.5..2: source samples per sample written. */
void rt_stretch_process(rt_stretch *stretch, const float *in, uint32_t available, float rate, float *out, uint32_t want,
                        rt_stretch_step *step) RT_NONBLOCKING;

/* Where in the source the next sample written lies, counted from the reset: `consumed` in all, less what is still to be repeated. */
uint64_t rt_stretch_position(const rt_stretch *stretch) RT_NONBLOCKING;
double rt_stretch_latency(const rt_stretch *stretch) RT_NONBLOCKING; /* samples: 0 */
/* cdef end */

enum { RT_STRETCH_PAST = 600, RT_STRETCH_AHEAD = 840 }; /* samples at 24 kHz: 25 and 35 ms */

struct rt_stretch {
    uint32_t rate_hz, hop, fade, lag_least, lag_most, past_most, coarse;
    uint32_t known;     /* samples of the past that are this stream's */
    uint32_t behind;    /* samples still to be repeated */
    uint32_t fade_left; /* of a cross-fade under way */
    uint32_t rest;      /* samples before the next search */
    int32_t jump;       /* of that cross-fade: to the new place from the old one */
    float match;        /* -1..1, the resemblance at that jump */
    int64_t owed;       /* asked less actual advance, in samples / 65536 */
    uint64_t consumed;  /* in all */
    float past[RT_STRETCH_PAST]; /* consumed last, the newest at the end */
};

#endif
