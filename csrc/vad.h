/* vad.h - is someone speaking? One probability per hop.
 *
 * Mono float at RT_RATE in hops of RT_HOP samples; returns a probability in [0, 1], 0.5 being the balanced decision, so that a
 * threshold means what the API's `threshold` means. First version: the energy of the telephone band (200-3800 Hz, two biquads) over a
 * noise floor that follows the least 30 ms energy of the last 1.5 s. The score is the level of the last 20 ms above that floor:
 * +9 dB is 0.5, +5 dB 0.06, +13 dB 0.94. Nothing below -60 dBFS in that band is called speech.
 *
 * It knows no words: any sudden sound in the band scores high, and a sound that stays becomes floor after 1.5 s. It starts with the
 * floor at -55 dBFS, so speech in the very first hop is found; louder noise at the start is called speech for up to 1.5 s.
 * No delay is added; the decision lags a sudden onset by at most 20 ms. One detector serves one stream on one thread.
 * Work per hop: RT_HOP biquad pairs and 16 comparisons.
 */
#ifndef RT_VAD_H
#define RT_VAD_H

#include "rt.h"

/* cdef begin */
typedef struct rt_vad rt_vad;

size_t rt_vad_size(void);
int rt_vad_init(rt_vad *vad);
void rt_vad_reset(rt_vad *vad);
/* hop: RT_HOP samples. Returns the probability of speech in the last 20 ms. NaN counts as silence. */
float rt_vad_process(rt_vad *vad, const float *hop) RT_NONBLOCKING;
uint32_t rt_vad_latency(const rt_vad *vad); /* samples the decision lags at most */
float rt_vad_floor_db(const rt_vad *vad);   /* the tracked floor, dBFS in the band */
/* cdef end */

#include "biquad.h"

enum { RT_VAD_BLOCKS = 15, RT_VAD_BLOCK_HOPS = 10 };

struct rt_vad {
    rt_biquad high_pass, low_pass;
    float energy[3];               /* mean squares of the last three hops */
    float least[RT_VAD_BLOCKS];    /* least 30 ms energy of each finished 100 ms block, a circle */
    float least_now;               /* of the block under way */
    uint32_t block, hops_in_block;
    float floor_db;
};

#endif
