/* paced.h - what the paced policy of playout.h keeps on the playback thread; playout_paced.c works it, nobody else looks inside.
 *
 * Packets are taken from the loop thread in the order they came, given to `jitter`, which knows their place, and held in `packets`. Each
 * hop `jitter` decides on the playhead and the speed; sound then goes: packets ▶ wire form to float ▶ stretch ▶ resampler (to RT_RATE,
 * and by the drift of the two clocks) ▶ conceal. What is missing is made up in the last of these, so every seam is an overlap.
 */
#ifndef RT_PACED_H
#define RT_PACED_H

#include "board.h"
#include "conceal.h"
#include "jitter.h"
#include "lag.h"
#include "noise.h"
#include "packets.h"
#include "rt.h"

enum { RT_PACED_ROWS = 64, RT_PACED_SURPLUS = 16 };

/* One packet on its way from the loop thread; its samples are in the data ring. */
typedef struct rt_paced_packet {
    rt_jitter_packet header;
    uint32_t row, generation, frames;
    uint16_t end;   /* 1: no packet, the end of the row's item */
    uint16_t level; /* of comfort noise, dB below full scale */
} rt_paced_packet;

typedef struct rt_paced {
    rt_jitter jitter;
    rt_conceal conceal;
    rt_lag lag; /* whose samples are inside `conceal` */
    rt_board board;

    int64_t now_us;  /* of the hop under way or to come */
    uint32_t voided; /* packets of generations up to this are void */
    int ended;       /* the last that came was an end */
    int speech;      /* in the hop before */
    uint32_t quiet_hops;
    float loudest;   /* mean square of a hop, falling */
    uint64_t stalling; /* samples at RT_RATE waited for in vain since sound was last heard */
    float noise_asked; /* comfort noise where the sender is silent, linear */
    rt_noise noise;
    double ppm; /* the resampler's */

    uint32_t surplus_count; /* of the resampler's, from the hop before */
    float surplus[RT_PACED_SURPLUS];

    uint64_t came[RT_PACED_ROWS]; /* samples of each row, in all, that were taken from the loop thread */
    uint8_t ending[RT_PACED_ROWS];
    uint32_t endings;

    _Alignas(64) rt_packets packets; /* its samples follow */
} rt_paced;

#endif
