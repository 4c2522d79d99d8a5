/* delays.h - how late packets are on a link, and the delay that covers most of it.
 *
 * A packet brings its offset, arrival - time stamp, in microseconds on any fixed origin. Its relative delay is the offset above the
 * base: the least offset of the last 40 s (64 blocks of minima), each brought forward by the drift of the two clocks, which is estimated
 * from the minima's slope. Relative delays are clipped at CLIP_US; the largest of every 500 ms is one observation of two histograms
 * over 200 logarithmic bins (20 ms * (126^(k/200) - 1), 2.5 s at the end): slow, a plain average until it is older than its time
 * constant, and fast. Target = max(20 ms, FACTOR * patience * the larger of a quantile of each + a margin), where beyond KNEE_US each
 * millisecond counts BEND only; the figures stand in the source.
 *
 * A part of `jitter`: a flat struct inside the owner's. One thread, no clock, no delay of its own. rt_delays_rebase forgets the base and
 * keeps what the link taught. Work: 64 steps per packet and per call of base_us, 800 more every 500 ms; nothing can go wrong while
 * offsets and times stay within 2^60.
 */
#ifndef RT_DELAYS_H
#define RT_DELAYS_H

#include "rt.h"

enum { RT_DELAYS_BINS = 200, RT_DELAYS_BLOCKS = 64 };

typedef struct rt_delays {
    double patience, most_us; /* the target is at most this */

    float slow[RT_DELAYS_BINS], fast[RT_DELAYS_BINS];
    uint32_t learnt; /* observations in them */
    double target_us;
    double drift;    /* us per us, of our clock against the sender's */
    float jitter_ms; /* the last observation */

    int64_t least[RT_DELAYS_BLOCKS], least_at[RT_DELAYS_BLOCKS]; /* offset, and when it was; a circle */
    uint32_t block, blocks;
    int64_t block_ends, period_ends, largest; /* of this period, -1 for none */
} rt_delays;

void rt_delays_reset(rt_delays *delays, double patience, double most_us) RT_NONBLOCKING;
void rt_delays_rebase(rt_delays *delays) RT_NONBLOCKING;
/* One packet, in the order of arrival. */
void rt_delays_note(rt_delays *delays, int64_t offset_us, int64_t arrival_us) RT_NONBLOCKING;
/* The offset of the fastest packets at this time; 1e300 before any. */
double rt_delays_base_us(const rt_delays *delays, int64_t now_us) RT_NONBLOCKING;

#endif
