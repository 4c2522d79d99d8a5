/* ear.h - sound as it travels, straight to probabilities of speech: what a server does with every frame of every caller.
 *
 * Bytes in the wire's form (RT_PCM16: little-endian at 24 kHz; RT_ULAW, RT_ALAW: at 8 kHz, resampled) go in, in pieces of any size;
 * out comes one probability for each hop of 10 ms that is complete, the same for every way of cutting the bytes. Half a sample and part
 * of a hop wait for the rest. The detector and the resampler are in it: equal to decoding, rt_resample_process and rt_vad_process one
 * after the other, in one call and without memory for what is between them.
 *
 * Memory: rt_ear_size() bytes brought by the caller, 64-byte aligned; one flat struct without pointers. One stream, one thread at a time.
 * Adds no delay of its own: rt_ear_latency says what detector and resampler have. Work: that of the blocks in it for each hop.
 */
#ifndef RT_EAR_H
#define RT_EAR_H

#include "rt.h"

/* cdef begin */
typedef struct rt_ear rt_ear;

size_t rt_ear_size(uint32_t format); /* 0 when there is no such format */
/* Computes the resampler's taps when there is one: not for an audio thread. RT_OK, or RT_BAD_ARGUMENT and nothing written. */
int rt_ear_init(rt_ear *ear, uint32_t format);
void rt_ear_reset(rt_ear *ear) RT_NONBLOCKING; /* as after init */
/* Hops that process() will complete with so many bytes more. */
uint32_t rt_ear_hops(const rt_ear *ear, uint32_t bytes) RT_NONBLOCKING;
/* Takes all the bytes; returns how many probabilities it wrote. What finds no room is lost, the stream stays right. */
uint32_t rt_ear_process(rt_ear *ear, const uint8_t *wire, uint32_t bytes, float *probabilities, uint32_t capacity) RT_NONBLOCKING;
double rt_ear_latency(const rt_ear *ear) RT_NONBLOCKING; /* seconds that a decision lags the sound at most */
/* cdef end */

struct rt_ear {
    uint32_t format;
    uint32_t filled;           /* samples of `hop` */
    uint32_t has_half;         /* `half` is the first byte of a sample */
    uint32_t vad_offset;       /* bytes from the start of the struct to the detector */
    uint32_t resample_offset;  /* and to the resampler; 0: none */
    uint8_t half;
    float hop[RT_HOP];
};

#endif
