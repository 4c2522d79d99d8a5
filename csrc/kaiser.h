/* kaiser.h - the taps of a polyphase low-pass: a sinc under a Kaiser window, one row (phase) at a time.
 *
 * What the resampler's table is made of, computed in its init: some microseconds of sin() and of a Bessel series per
 * row of 48 taps, not for an audio thread. No state, no memory of its own; any thread. The window's first and last
 * point are left out: that costs nothing measurable and makes 48 taps of 49, a whole number of vectors.
 */
#ifndef RT_KAISER_H
#define RT_KAISER_H

#include "rt.h"

typedef struct rt_kaiser {
    uint32_t half;  /* periods of the lower rate on either side of the centre, 1 and up */
    double beta;    /* of the window, 0..20: the higher, the deeper the stop band and the wider the way down to it */
    double cutoff;  /* 0..1 of the lower Nyquist frequency: the middle of that way */
} rt_kaiser;

/* Fills row[0..taps): oldest sample first. The newest is `age` samples old, -1 up to 1; one period of the lower rate
 * lasts `per_period` samples, 1 or more. The row's sum is 1, so a constant comes through as itself in every phase. */
void rt_kaiser_row(const rt_kaiser *filter, float *row, uint32_t taps, double age, double per_period);

#endif
