/* pcm.h - the small sample work every path needs: int16 and float, channels, gain, level.
 *
 * Floats are nominally in [-1, 1] at scale 32768 (int16 -32768 is -1.0f; 1.0f clamps to 32767). Interleaved buffers
 * hold `frames` frames of `channels` samples each, channels 1 to 64. Pure functions without state, any thread, no
 * delay; work is proportional to the samples. Buffers must not overlap unless a line below says "in place". Arguments
 * are the caller's to check: these run in the inner loops.
 */
#ifndef RT_PCM_H
#define RT_PCM_H

#include "rt.h"

/* cdef begin */
typedef struct rt_pcm_level {
    float peak;        /* largest magnitude, 1 = full scale */
    float mean_square; /* mean of the squares; its root is the RMS level */
} rt_pcm_level;

/* Times 1 / 32768, exactly. */
void rt_pcm_to_float(const int16_t *in, float *out, uint32_t samples) RT_NONBLOCKING;

/* Nearest int16, halves to even; out of range and infinities clamp, NaN becomes 0. Undoes to_float exactly. */
void rt_pcm_from_float(const float *in, int16_t *out, uint32_t samples) RT_NONBLOCKING;

/* One channel of an interleaved buffer of int16 (`sample` 0) or float (1) as float: clamped to [-1, 1], NaN as 0. */
void rt_pcm_pick(const void *in, int sample, uint32_t channels, uint32_t channel, float *out, uint32_t frames) RT_NONBLOCKING;

/* One mono buffer into every channel of an interleaved one. */
void rt_pcm_spread(const float *in, float *out, uint32_t channels, uint32_t frames) RT_NONBLOCKING;

/* Times gain, in place. */
void rt_pcm_gain(float *samples, uint32_t count, float gain) RT_NONBLOCKING;

/* Gain along a line, in place: sample i gets from + (to - from) * i / count; a next ramp starting at `to` joins on. */
void rt_pcm_ramp(float *samples, uint32_t count, float from, float to) RT_NONBLOCKING;

/* Level of a block; NaN counts as 0, infinity as full scale. An empty block has level 0. */
rt_pcm_level rt_pcm_measure(const float *in, uint32_t samples) RT_NONBLOCKING;
/* cdef end */

#endif
