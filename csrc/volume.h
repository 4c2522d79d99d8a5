/* volume.h - how loud the loudspeaker is: volume, duck and hold along ramps, and a limiter for what that makes too loud.
 *
 * Mono float at RT_RATE in hops of RT_HOP samples, in place. The gain goes to each new target along a straight line of ramp_ms, from
 * wherever it is, so no change clicks. What follows is what the loudspeaker gets and what the echo reference will be taken from.
 *
 * The limiter holds the sound within [-1, 1] without a delay: the gain falls with a peak and comes back at 40 dB per second. Its knee is
 * soft where the volume makes sound too loud: from 2 on it begins at 0.7 of full scale, down to volume 1 it narrows to nothing. At
 * volume 1 or less sound within [-1, 1] passes as it is, bit for bit at 1. NaN becomes silence.
 *
 * One block serves one loudspeaker on one thread. No delay. Work per hop: RT_HOP samples, an exponential for each that is limited.
 */
#ifndef RT_VOLUME_H
#define RT_VOLUME_H

#include "rt.h"

/* cdef begin */
typedef struct rt_volume rt_volume;

size_t rt_volume_size(void);
int rt_volume_init(rt_volume *volume, uint32_t ramp_ms); /* 10..1000 */
void rt_volume_reset(rt_volume *volume);
/* One hop towards `target` (0..4, linear). Returns 1 if the limiter acted. */
int rt_volume_process(rt_volume *volume, float *hop, float target) RT_NONBLOCKING;
/* The gain jumps, since nothing sounds. */
void rt_volume_jump(rt_volume *volume, float gain) RT_NONBLOCKING;
float rt_volume_gain(const rt_volume *volume) RT_NONBLOCKING; /* at the end of the last hop */
uint32_t rt_volume_latency(const rt_volume *volume); /* samples: 0 */
/* cdef end */

struct rt_volume {
    uint32_t ramp_hops, left; /* hops of the ramp under way */
    float gain, target;
    float loudest; /* what the limiter follows: the magnitude, falling slowly */
};

#endif
