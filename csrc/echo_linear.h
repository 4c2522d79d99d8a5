/* echo_linear.h - the linear half of the echo canceller: echo_delay says where to look, echo_filter takes away what it can.
 *
 * Mono float at RT_RATE in hops of RT_HOP samples, reference and microphone of one clock. Out come what is left, the estimated echo (their sum is
 * the microphone), and the reference as old as the echo in the microphone is, less one hop, for those who compare them by eye: echo_features. While
 * no delay is known the filter looks for an echo of up to 180 ms. A delay that moves by up to 30 ms while the filter is still right is drift: the
 * taps move with it, and nothing is lost. All this is also what the near-end network is trained on, hop by hop.
 *
 * No delay. One flat struct (about 240 kB), one stream, one thread. Work: that of both blocks.
 */
#ifndef RT_ECHO_LINEAR_H
#define RT_ECHO_LINEAR_H

#include "rt.h"

/* cdef begin */
typedef struct rt_echo_linear rt_echo_linear;

size_t rt_echo_linear_size(void);
int rt_echo_linear_init(rt_echo_linear *l);
void rt_echo_linear_reset(rt_echo_linear *l);
/* RT_HOP samples each. left and echo may be the microphone's memory, not each other's. */
void rt_echo_linear_process(rt_echo_linear *l, const float *reference, const float *microphone, float *left, float *echo, float *aligned) RT_NONBLOCKING;
/* `hops` hops in a row: the same, for training. */
void rt_echo_linear_many(rt_echo_linear *l, const float *reference, const float *microphone, uint32_t hops, float *left, float *echo, float *aligned);
/* Hops of RT_HOP samples; -1 while no delay is known. */
int rt_echo_linear_lag(const rt_echo_linear *l) RT_NONBLOCKING;
/* 0..1: what the estimate should have been multiplied with to fit the microphone best, over the last 60 ms; 1 while it is about right. */
float rt_echo_linear_fit(const rt_echo_linear *l) RT_NONBLOCKING;
uint32_t rt_echo_linear_latency(const rt_echo_linear *l); /* samples: 0 */
/* cdef end */

#include "echo_delay.h"
#include "echo_filter.h"

struct rt_echo_linear {
    rt_echo_delay delay;
    rt_echo_filter filter;
    float both, echo; /* of microphone and estimate, of the estimate alone, over 60 ms */
    int moved; /* the delay changed, or was found, in the last hop, and it was no drift */
};

#endif
