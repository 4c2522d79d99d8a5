/* biquad.h - second-order sections: a part of other blocks, a flat struct inside the owner's.
 *
 * Butterworth high and low passes by the bilinear transform at RT_RATE; zeroed memory with a design in it is as after reset. One
 * sample in, one out, no delay but the filter's own. One thread; nothing can go wrong as long as what goes in is finite.
 */
#ifndef RT_BIQUAD_H
#define RT_BIQUAD_H

#include "rt.h"

#include <math.h>

typedef struct rt_biquad {
    float b0, b1, b2, a1, a2, z1, z2;
} rt_biquad;

static inline void rt_biquad_design(rt_biquad *section, double cutoff_hz, int high_pass)
{
    double k = tan(3.14159265358979323846 * cutoff_hz / RT_RATE), norm = 1.0 / (1.0 + k * sqrt(2.0) + k * k);
    double gain = high_pass ? norm : k * k * norm;
    section->b0 = section->b2 = (float)gain;
    section->b1 = (float)(high_pass ? -2.0 * gain : 2.0 * gain);
    section->a1 = (float)(2.0 * (k * k - 1.0) * norm);
    section->a2 = (float)((1.0 - k * sqrt(2.0) + k * k) * norm);
}

static inline float rt_biquad_step(rt_biquad *section, float x)
{
    float y = section->b0 * x + section->z1;
    section->z1 = section->b1 * x - section->a1 * y + section->z2;
    section->z2 = section->b2 * x - section->a2 * y;
    return y;
}

/* What may be filtered: one wild sample must not ring on for seconds, and NaN (which fails both comparisons) becomes 0. */
static inline float rt_biquad_tame(float x) { return x > 4.0f ? 4.0f : x < -4.0f ? -4.0f : x == x ? x : 0.0f; }

#endif
