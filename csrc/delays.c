/* The numbers here were found by simulation over seeded generators and cellular traces; bench/paced.py shows what they reach. */
#include "delays.h"

#include <math.h>
#include <string.h>

#define BLOCK_US 625000  /* 64 of them are the 40 s of the base */
#define PERIOD_US 500000 /* one observation each */
#define CLIP_US 850000   /* longer outages cannot be covered by delay at hand */
#define FIRST_DELAY_MS 34.0 /* counts as one observation before any */

#define SLOW_QUANTILE 0.966
#define FAST_QUANTILE 0.45
#define SLOW_SECONDS 90.0
#define FAST_SECONDS 2.0
#define FACTOR 0.98
#define KNEE_US 130000.0 /* what is rarer than that is covered less: each outage costs as much, waiting for it more */
#define BEND 0.87
#define MARGIN_US 1500.0
#define LEAST_TARGET_US 20000.0

/* ---- histograms ---- */

static int bin_of(double delay_ms)
{
    double bin = RT_DELAYS_BINS * log(delay_ms / 20.0 + 1.0) / log(126.0);
    return (int)fmin(bin, RT_DELAYS_BINS - 1);
}

static double upper_edge_us(int bin)
{
    return 20000.0 * (pow(126.0, (bin + 1) / (double)RT_DELAYS_BINS) - 1.0);
}

static void observe(float *histogram, int bin, double weight)
{
    float keep = (float)(1.0 - weight);
    for (int i = 0; i < RT_DELAYS_BINS; i++) {
        histogram[i] *= keep;
        if (histogram[i] < 1e-12f) /* nothing subnormal is left behind */
            histogram[i] = 0.0f;
    }
    histogram[bin] += (float)weight;
}

static double quantile_us(const float *histogram, double quantile)
{
    double above = 0.0;
    int bin = RT_DELAYS_BINS - 1;
    for (; bin > 0; bin--) {
        above += (double)histogram[bin];
        if (above > 1.0 - quantile)
            break;
    }
    return upper_edge_us(bin);
}

static void aim(rt_delays *delays)
{
    double needed = fmax(quantile_us(delays->slow, SLOW_QUANTILE), quantile_us(delays->fast, FAST_QUANTILE));
    double bent = fmin(needed, KNEE_US) + BEND * fmax(0.0, needed - KNEE_US);
    double target = fmax(LEAST_TARGET_US, FACTOR * delays->patience * bent + MARGIN_US);
    delays->target_us = fmin(target, delays->most_us);
}

static void learn(rt_delays *delays, int64_t largest_us)
{
    int bin = bin_of((double)largest_us / 1000.0);
    observe(delays->slow, bin, fmax(1.0 / (delays->learnt + 2.0), 1.0 - exp(-0.5 / SLOW_SECONDS)));
    observe(delays->fast, bin, 1.0 - exp(-0.5 / FAST_SECONDS));
    if (delays->learnt < 1000000)
        delays->learnt++;
    delays->jitter_ms = (float)((double)largest_us / 1000.0);
    aim(delays);
}

/* ---- the base ---- */

/* The least of the last 40 s, brought to `now` by the drift. */
double rt_delays_base_us(const rt_delays *delays, int64_t now)
{
    double least = 1e300;
    for (uint32_t i = 0; i < delays->blocks; i++) {
        double brought = (double)delays->least[i] + delays->drift * (double)(now - delays->least_at[i]);
        least = fmin(least, brought);
    }
    return least;
}

/* The lower edge of delays in the youngest and the oldest quarter of 40 s differ by the clocks' drift; by more, it was the link. */
static void follow_drift(rt_delays *delays)
{
    enum { QUARTER = RT_DELAYS_BLOCKS / 4 };
    if (delays->blocks < RT_DELAYS_BLOCKS)
        return;
    uint32_t young = delays->block, old = (delays->block + 1) % RT_DELAYS_BLOCKS;
    for (uint32_t i = 0; i < QUARTER; i++) {
        uint32_t y = (delays->block + RT_DELAYS_BLOCKS - i) % RT_DELAYS_BLOCKS, o = (delays->block + 1 + i) % RT_DELAYS_BLOCKS;
        if (delays->least[y] < delays->least[young])
            young = y;
        if (delays->least[o] < delays->least[old])
            old = o;
    }
    double elapsed = (double)(delays->least_at[young] - delays->least_at[old]);
    double slope = elapsed > 0.0 ? (double)(delays->least[young] - delays->least[old]) / elapsed : 1.0;
    if (fabs(slope) <= 0.001)
        delays->drift += (slope - delays->drift) / RT_DELAYS_BLOCKS;
}

static void note_least(rt_delays *delays, int64_t offset, int64_t arrival)
{
    if (delays->blocks == 0 || arrival >= delays->block_ends) {
        if (delays->blocks) {
            follow_drift(delays);
            delays->block = (delays->block + 1) % RT_DELAYS_BLOCKS;
        }
        if (delays->blocks < RT_DELAYS_BLOCKS)
            delays->blocks++;
        delays->block_ends = arrival + BLOCK_US;
    } else if (offset >= delays->least[delays->block]) {
        return;
    }
    delays->least[delays->block] = offset;
    delays->least_at[delays->block] = arrival;
}

/* ---- the block ---- */

void rt_delays_reset(rt_delays *delays, double patience, double most_us)
{
    memset(delays, 0, sizeof *delays);
    delays->patience = patience;
    delays->most_us = most_us;
    delays->slow[bin_of(FIRST_DELAY_MS)] = delays->fast[bin_of(FIRST_DELAY_MS)] = 1.0f;
    rt_delays_rebase(delays);
    aim(delays);
}

void rt_delays_rebase(rt_delays *delays)
{
    delays->blocks = delays->block = 0;
    delays->largest = -1;
}

void rt_delays_note(rt_delays *delays, int64_t offset, int64_t arrival)
{
    if (delays->blocks == 0)
        delays->period_ends = arrival + PERIOD_US;
    note_least(delays, offset, arrival);
    double delay = (double)offset - rt_delays_base_us(delays, arrival);
    int64_t clipped = delay < 0.0 ? 0 : delay > CLIP_US ? CLIP_US : (int64_t)delay;
    if (clipped > delays->largest)
        delays->largest = clipped;
    if (arrival < delays->period_ends)
        return;
    learn(delays, delays->largest);
    delays->largest = -1;
    delays->period_ends = arrival + PERIOD_US;
}
