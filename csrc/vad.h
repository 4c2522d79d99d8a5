/* vad.h - is someone speaking? Two probabilities per hop.
 *
 * Mono float at RT_RATE in hops of RT_HOP samples. `exact` is the probability that somebody speaks: small in the pauses between words,
 * for barge-in and release. `bridged` has pauses of less than half a second filled: for the end of a turn. 0.5 is the balanced decision
 * of either, so that a threshold means what the API's `threshold` means. Both come from one small recurrent network (vad_net.h) over
 * spectrum, level and pitch (vad_features.h), trained on speech in some 45 languages, noise and music, from 8 kHz and 16 kHz
 * lines as well as wide ones, from -60 dBFS to clipped (training/vad). Singing is between the two. Digital silence of 30 ms is 0.
 *
 * An output is about the sound 20 ms before the end of its hop; nothing else is delayed. Besides, for show: the level of the last 20 ms in
 * the telephone band (200 to 3800 Hz) and its floor, the least level over 30 ms of the last 1.5 s, -65 dBFS at least.
 *
 * One detector serves one stream on one thread. NaN counts as silence. Work per hop: that of the features and the network, 16
 * comparisons.
 */
#ifndef RT_VAD_H
#define RT_VAD_H

#include "rt.h"

/* cdef begin */
typedef struct rt_vad rt_vad;

size_t rt_vad_size(void);
int rt_vad_init(rt_vad *vad);
void rt_vad_reset(rt_vad *vad);
/* hop: RT_HOP samples. Returns the exact probability. */
float rt_vad_process(rt_vad *vad, const float *hop) RT_NONBLOCKING;
/* `hops` hops in a row; `exact` and `bridged` take one number each per hop. */
void rt_vad_many(rt_vad *vad, const float *sound, uint32_t hops, float *exact, float *bridged);
float rt_vad_bridged(const rt_vad *vad);    /* of the last hop */
/* For barge-in: a probability of the last hop, weighed by how far its level stands out of the room. Nothing up to 1 dB above the floor,
 * as it is at 5 to 15 dB, twice (1 at most) from 25 dB on: a steady noise is not somebody who speaks up, and who does stands out. */
float rt_vad_foreground(const rt_vad *vad, float probability) RT_NONBLOCKING;
float rt_vad_level_db(const rt_vad *vad);   /* of the last hop, dBFS in the band */
float rt_vad_floor_db(const rt_vad *vad);   /* the tracked floor, dBFS in the band */
uint32_t rt_vad_latency(const rt_vad *vad); /* samples the decision lags: 480 */
/* cdef end */

#include "vad_features.h"
#include "vad_net.h"

enum { RT_VAD_BLOCKS = 15, RT_VAD_BLOCK_HOPS = 10 };

struct rt_vad {
    rt_vad_features features;
    rt_vad_net net;
    float bridged, level_db, floor_db;
    float energy[3];               /* mean squares of the last three hops */
    float least[RT_VAD_BLOCKS];    /* least 30 ms energy of each finished 100 ms block, a circle */
    float least_now;               /* of the block under way */
    uint32_t block, hops_in_block;
    uint32_t silent_hops;          /* in a row, up to now; stops counting at SILENT_HOPS */
};

#endif
