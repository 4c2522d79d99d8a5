/* vec.h - four floats at a time, in the GNU vector notation gcc and clang share, so that no instruction set is named
 * anywhere.
 *
 * It is for sums only: a compiler may not reorder a float sum by itself, so the order that fills a vector has to be
 * written down. Loops without a sum are plain C and left to the compiler. Any pointer to float may be loaded from,
 * aligned or not.
 */
#ifndef RT_VEC_H
#define RT_VEC_H

#include <string.h>

typedef float rt_vec __attribute__((vector_size(16)));

enum { RT_VEC = 4 };

static inline rt_vec rt_vec_load(const float *from)
{
    rt_vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline float rt_vec_sum(rt_vec v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

#endif
