/* tame.h - sound as a block can bear it: between -4 and 4, NaN and what is too small to be a sound as 0.
 *
 * Infinity is 4; what is smaller than 1e-15 would become subnormal in a square. Header only; constant work.
 */
#ifndef RT_TAME_H
#define RT_TAME_H

#include <math.h>

static inline float rt_tame(float x)
{
    float y = x > 4.0f ? 4.0f : x < -4.0f ? -4.0f : x;
    return fabsf(y) > 1e-15f ? y : 0.0f; /* which NaN is not */
}

#endif
