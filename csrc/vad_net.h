/* vad_net.h - the voice-activity network: features in, two logits out.
 *
 *   features (36) ▶ 32, ReLU ▶ GRU 48 ▶ GRU 24 ▶ of both (72): exact speech, bridged speech
 *
 * Takes RT_VAD_FEATURES numbers per hop (vad_features.h) and carries its state from hop to hop. Logit 0 is the balanced decision. Weights
 * are 8-bit integers with one scale a row (vad_weights.h, made by training/vad/export.py); what they are multiplied with is rounded to
 * 1/4096 and cut at +-8, sums are exact integers, so that they come out alike however they are vectorised. Sigmoid and tanh are
 * rational functions, right to 1e-4. Against the trained network in floating point with the same weights: within 0.01 of a probability.
 *
 * No delay but what it learnt: an output is about the sound 20 ms before the end of the hop. One struct serves one stream on one thread.
 * Work per hop: 18 000 products, 216 sigmoids and tanhs.
 */
#ifndef RT_VAD_NET_H
#define RT_VAD_NET_H

#include "rt.h"
#include "vad_features.h"

/* cdef begin */
typedef struct rt_vad_net rt_vad_net;

size_t rt_vad_net_size(void);
int rt_vad_net_init(rt_vad_net *net);
void rt_vad_net_reset(rt_vad_net *net);
/* features: RT_VAD_FEATURES; logits: exact, bridged. */
void rt_vad_net_process(rt_vad_net *net, const float *features, float *logits) RT_NONBLOCKING;
uint32_t rt_vad_net_latency(const rt_vad_net *net); /* samples: 480 */
/* cdef end */

enum { RT_VAD_ENTRY = 32, RT_VAD_FIRST = 48, RT_VAD_SECOND = 24 };

struct rt_vad_net {
    float first[RT_VAD_FIRST], second[RT_VAD_SECOND]; /* the GRUs' outputs of the hop before */
};

#endif
