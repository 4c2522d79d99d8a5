/* echo_delay.h - how much later the microphone hears what the loudspeaker was given: 0 to 500 ms, in steps of 10 ms.
 *
 * Per hop of RT_HOP samples at RT_RATE the phases of microphone and reference (20 ms under a Hann window, 300 to 5000 Hz) are compared at every
 * lag; what agrees over the last quarter of a second is the echo. Hops in which the reference was silent say nothing about a lag. A lag is
 * taken up once it stands out (coherence above RT_ECHO_SURE and 2.5 times the median of all lags), and exchanged for another one when that
 * has 1.4 times its coherence for five hops: a jump of the delay is followed within about 150 ms of sound, and nothing moves without any. By how
 * many samples it jumped the slope of the phases says, at either lag.
 *
 * One flat struct (about 90 kB), one thread. NaN counts as 0. Work: two transforms of 480 points, and RT_ECHO_LAGS times RT_ECHO_PHASES
 * complex products.
 */
#ifndef RT_ECHO_DELAY_H
#define RT_ECHO_DELAY_H

#include "rt.h"

/* cdef begin */
typedef struct rt_echo_delay rt_echo_delay;

enum {
    RT_ECHO_LAGS = 52,   /* hops: 0 to 510 ms */
    RT_ECHO_PHASES = 95  /* bins of 50 Hz, from 300 Hz */
};

size_t rt_echo_delay_size(void);
int rt_echo_delay_init(rt_echo_delay *delay);
void rt_echo_delay_reset(rt_echo_delay *delay);
/* One hop of both. Returns 1 if the lag changed, or was found, with it. */
int rt_echo_delay_process(rt_echo_delay *delay, const float *microphone, const float *reference) RT_NONBLOCKING;
/* Hops of RT_HOP samples; -1 while none is known. */
int rt_echo_delay_lag(const rt_echo_delay *delay) RT_NONBLOCKING;
/* Samples by which the lag that changed last did; 0 if it was found then. */
int rt_echo_delay_jump(const rt_echo_delay *delay) RT_NONBLOCKING;
/* Coherence at the lag, 0..1; 0 while none is known. */
float rt_echo_delay_sure(const rt_echo_delay *delay) RT_NONBLOCKING;
uint32_t rt_echo_delay_latency(const rt_echo_delay *delay); /* samples: 0, sound is only looked at */
/* cdef end */

#include "fft.h"

enum { RT_ECHO_DELAY_FRAME = 2 * RT_HOP, RT_ECHO_FIRST = 6 /* bin, 300 Hz */ };

struct rt_echo_delay {
    rt_fft fft;
    float window[RT_ECHO_DELAY_FRAME];
    float microphone[RT_HOP], reference[RT_HOP]; /* the last hop */
    int32_t lag, better, better_hops;            /* in force; the one that may take its place, and for how long */
    int32_t jump;                                /* samples */
    uint32_t newest;                             /* row of the phases */
    uint8_t active[RT_ECHO_LAGS];                /* whether the reference sounded in that row */
    float phase_re[RT_ECHO_LAGS][RT_ECHO_PHASES], phase_im[RT_ECHO_LAGS][RT_ECHO_PHASES];
    float agree_re[RT_ECHO_LAGS][RT_ECHO_PHASES], agree_im[RT_ECHO_LAGS][RT_ECHO_PHASES]; /* by lag */
    float coherence[RT_ECHO_LAGS];
};

#endif
