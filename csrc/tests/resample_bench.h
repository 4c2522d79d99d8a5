/* resample_bench.h - the pairs of rates, qualities and tunings that the tests of the resampler go through. */
#ifndef RESAMPLE_BENCH_H
#define RESAMPLE_BENCH_H

#include "check.h"
#include "resample.h"

enum { MOST_IN = 192000 / 4 + 4096, MOST_OUT = MOST_IN };

typedef struct {
    uint32_t rate_in, rate_out;
    double delay_ms; /* promised at most */
    uint32_t quality, tunable;
} pair;

enum { LIVE = RT_RESAMPLE_LIVE, FILES = RT_RESAMPLE_FILE };

static const pair pairs[] = {
    {48000, 24000, 1.1}, {24000, 48000, 1.1}, {44100, 24000, 1.1}, {24000, 44100, 1.1}, {16000, 24000, 1.6},
    {24000, 16000, 1.6}, {8000, 24000, 3.2},  {24000, 8000, 3.2},  {96000, 24000, 1.1}, {22050, 24000, 1.1},
    {11025, 24000, 2.2}, {48000, 8000, 3.2},  {192000, 8000, 3.2}, {8000, 192000, 3.2},
    {8000, 44100, 3.2},   /* interpolated from here on: L is 441 and more, or the table would be large */
    {44100, 8001, 3.2},   {24000, 23999, 1.1}, {192000, 11025, 2.2}, {191999, 8001, 3.2},
    {24000, 24000, 1.1, LIVE, 1}, {48000, 24000, 1.1, LIVE, 1}, {24000, 48000, 1.1, LIVE, 1},
    {8000, 24000, 3.2, LIVE, 1},  {44100, 48000, 1.1, LIVE, 1}, {192000, 8000, 3.2, LIVE, 1},
    {48000, 24000, 3.4, FILES},   {24000, 48000, 3.4, FILES},   {44100, 24000, 3.4, FILES}, {22050, 24000, 3.7, FILES},
    {8000, 24000, 10.1, FILES},   {44100, 48000, 1.9, FILES},   {44100, 16000, 5.1, FILES}, {8000, 44100, 10.1, FILES},
    {192000, 8000, 10.1, FILES},  {191999, 8001, 10.1, FILES},
    {24000, 24000, 3.4, FILES, 1}, {44100, 24000, 3.4, FILES, 1},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static float in[MOST_IN], out[MOST_OUT], again[MOST_OUT];

static inline rt_resample_config config_of(const pair *p)
{
    return (rt_resample_config){p->rate_in, p->rate_out, p->quality, p->tunable};
}

static inline rt_resample *resampler(const pair *p)
{
    rt_resample_config config = config_of(p);
    rt_resample *r = check_memory(rt_resample_size_for(&config));
    CHECK_EQUAL(rt_resample_init_for(r, &config), RT_OK);
    return r;
}

static inline void noise(uint32_t frames, unsigned long long seed)
{
    for (uint32_t i = 0; i < frames; i++)
        in[i] = ((float)(check_random(&seed) % 65536) - 32768.0f) / 32768.0f;
}

/* Each of these for each pair; what failed is named. */
static inline void for_each_pair(void (*const checks[])(const pair *p), size_t count)
{
    for (int i = 0; i < PAIRS; i++) {
        int before = check_failures;
        for (size_t n = 0; n < count; n++)
            checks[n](&pairs[i]);
        if (check_failures > before)
            fprintf(stderr, "  with %u to %u Hz\n", pairs[i].rate_in, pairs[i].rate_out);
    }
}

#endif
