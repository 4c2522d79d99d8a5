/* log10.h - a quick common logarithm, for features.
 *
 * Right to 2e-5, of a normal positive number; without branches or calls, so that a row of them is vectorised. Header only; constant work.
 */
#ifndef RT_LOG10_H
#define RT_LOG10_H

#include <stdint.h>

static inline float rt_log10(float x)
{
    union {
        float f;
        int32_t i;
    } bits = {x};
    int32_t exponent = (bits.i - 0x3f3504f3) >> 23; /* the mantissa then lies in [sqrt(1/2), sqrt(2)) */
    bits.i -= exponent * (1 << 23);
    float t = bits.f - 1.0f;
    float log_e = t * (1.0f + t * (-0.5f + t * (0.33333f + t * (-0.24995f + t * (0.20110f + t * (-0.17110f + t * 0.11700f))))));
    return 0.30103f * (float)exponent + 0.4342945f * log_e;
}

#endif
