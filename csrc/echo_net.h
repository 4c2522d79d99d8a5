/* echo_net.h - who is heard beside the echo: features in, a gain for each band and one probability out.
 *
 *   features (154) ▶ 48, tanh ▶ GRU 64 ▶ GRU 32 ▶ of both (96): 22 gains, 1 probability
 *
 * Takes the RT_ECHO_FEATURES numbers of echo_features.h once per hop and carries its state from hop to hop. A gain, 0..1, is what the
 * linear filter's rest would have to be multiplied with in its band so that only what is not echo is left (a talker, the room's noise);
 * the probability, 0..1, is of somebody near speaking, whatever is played. 40 608 weights of 8 bits with one scale a row (gru.h,
 * echo_weights.h, made by training/echo/export.py). Against the trained network in floating point with the same weights: within 0.01
 * (tests/audio/test_echo_net.py).
 *
 * No delay: an output is of the last 20 ms, those the features saw. One flat struct, one stream, one thread. NaN counts as -8.
 * Work per hop: 41 000 products, 359 sigmoids and tanhs.
 */
#ifndef RT_ECHO_NET_H
#define RT_ECHO_NET_H

#include "echo_features.h"
#include "rt.h"

/* cdef begin */
typedef struct rt_echo_net rt_echo_net;

size_t rt_echo_net_size(void);
int rt_echo_net_init(rt_echo_net *net);
void rt_echo_net_reset(rt_echo_net *net);
/* features: RT_ECHO_FEATURES; gains: RT_ECHO_BANDS. Returns the probability. */
float rt_echo_net_process(rt_echo_net *net, const float *features, float *gains) RT_NONBLOCKING;
/* `hops` hops in a row: the same, for training and tests. */
void rt_echo_net_many(rt_echo_net *net, const float *features, uint32_t hops, float *gains, float *probabilities);
uint32_t rt_echo_net_latency(const rt_echo_net *net); /* samples: 0 */
/* cdef end */

enum { RT_ECHO_NET_ENTRY = 48, RT_ECHO_NET_FIRST = 64, RT_ECHO_NET_SECOND = 32 };

struct rt_echo_net {
    float first[RT_ECHO_NET_FIRST], second[RT_ECHO_NET_SECOND]; /* the GRUs' outputs of the hop before */
};

#endif
