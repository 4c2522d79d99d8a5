/* noise.h - comfort noise, so that a sender that is silent does not sound dead (RFC 3389, the level only).
 *
 * Added to mono float at RT_RATE in hops of RT_HOP samples: white noise summed over three samples, which is the telephone's band, at the
 * power asked for (0 dB is a mean square of 1), along a straight line from hop to hop. Its peaks are three times its root mean square.
 *
 * A part of another block: a flat struct inside the owner's, zeroed memory is as after reset. One thread. No delay. Work: RT_HOP samples,
 * none while nothing is asked for. Nothing can go wrong.
 */
#ifndef RT_NOISE_H
#define RT_NOISE_H

#include "rt.h"

typedef struct rt_noise {
    float gain; /* at the end of the last hop */
    float last[2];
    uint32_t state;
} rt_noise;

/* `gain`: linear, 0 for none. */
void rt_noise_add(rt_noise *noise, float *hop, float gain) RT_NONBLOCKING;

#endif
