/* highpass.h - takes away what lies below the voice: rumble, wind, hum, the steps of a hand-held device.
 *
 * Mono float at RT_RATE, any count of samples, in place: a Butterworth high-pass of 4th order, 24 dB per octave, 3 dB down at the cutoff.
 * Delay: that of the filter, under 1 ms above twice the cutoff; latency is 0. One flat struct, one stream, one thread. NaN counts as 0
 * and what is beyond 4 times full scale as that, so nothing rings on. Work: 10 multiplications per sample.
 */
#ifndef RT_HIGHPASS_H
#define RT_HIGHPASS_H

#include "rt.h"

/* cdef begin */
typedef struct rt_highpass rt_highpass;

size_t rt_highpass_size(void);
int rt_highpass_init(rt_highpass *highpass, float cutoff_hz); /* 20..400 */
void rt_highpass_reset(rt_highpass *highpass); /* as after init */
/* In place. */
void rt_highpass_process(rt_highpass *highpass, float *samples, uint32_t count) RT_NONBLOCKING;
uint32_t rt_highpass_latency(const rt_highpass *highpass); /* samples: 0 */
/* cdef end */

#include "biquad.h"

struct rt_highpass {
    rt_biquad section[2];
};

#endif
