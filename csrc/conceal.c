#include "conceal.h"

#include <math.h>
#include <string.h>

enum {
    COARSE = 4,    /* decimation of the first search */
    WINDOW = 384,  /* 16 ms; with the 20 of Appendix I, or without TWO_MS, the speech of bench/conceal.py fares worse */
    COARSE_KEPT = (WINDOW + RT_CONCEAL_MOST) / COARSE,
    FADE_HOPS = 6, /* silence from 60 ms on */
    TWO_MS = 48,
    FOUR_MS = 96
};

static float clean(float sample)
{
    return fabsf(sample) <= 8.0f ? sample : 0.0f; /* NaN compares false */
}

/* From `out` towards `in` under a raised cosine, into `to`, which may be either. */
static void cross(float *to, const float *out, const float *in, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        float share = 0.5f - 0.5f * cosf(3.14159265f * ((float)i + 0.5f) / (float)count);
        to[i] = out[i] + share * (in[i] - out[i]);
    }
}

/* ---- pitch ---- */

static float dot(const float *a, const float *b, int count)
{
    float sums[8] = {0};
    for (int i = 0; i < count; i += 8) /* counts here are multiples of 8 */
        for (int k = 0; k < 8; k++)
            sums[k] += a[i + k] * b[i + k];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* The lag in [least, most] at which `window` samples before `end` are most like those a lag earlier. */
static int best_lag(const float *end, int window, int least, int most)
{
    const float *last = end - window;
    float best = -1.0f;
    int found = most;
    for (int lag = least; lag <= most; lag++) {
        float energy = dot(last - lag, last - lag, window);
        float likeness = dot(last, last - lag, window) / sqrtf(fmaxf(energy, 1e-6f * (float)window));
        if (likeness > best) {
            best = likeness;
            found = lag;
        }
    }
    return found;
}

static uint32_t find_pitch(const float *end)
{
    float coarse[COARSE_KEPT];
    const float *from = end - COARSE_KEPT * COARSE;
    for (int i = 0; i < COARSE_KEPT; i++)
        coarse[i] = 0.25f * (from[4 * i] + from[4 * i + 1] + from[4 * i + 2] + from[4 * i + 3]);
    int lag = COARSE * best_lag(coarse + COARSE_KEPT, WINDOW / COARSE, RT_CONCEAL_LEAST / COARSE, RT_CONCEAL_MOST / COARSE);
    int least = lag - COARSE < RT_CONCEAL_LEAST ? RT_CONCEAL_LEAST : lag - COARSE;
    int most = lag + COARSE > RT_CONCEAL_MOST ? RT_CONCEAL_MOST : lag + COARSE;
    return (uint32_t)best_lag(end, WINDOW, least, most);
}

/* ---- repetition ---- */

/* Lets the end of `source` run into the sample that begins its last `periods` periods. */
static void join(rt_conceal *conceal)
{
    uint32_t quarter = conceal->pitch / 4, repeated = conceal->periods * conceal->pitch;
    float *end = conceal->source + RT_CONCEAL_KEPT;
    cross(end - quarter, conceal->ending, end - repeated - quarter, quarter);
}

static void repeat(rt_conceal *conceal, float *to, uint32_t count)
{
    uint32_t length = conceal->periods * conceal->pitch;
    const float *from = conceal->source + RT_CONCEAL_KEPT - length;
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[conceal->position];
        if (++conceal->position == length)
            conceal->position = 0;
    }
}

static void begin(rt_conceal *conceal)
{
    float *end = conceal->kept + RT_CONCEAL_KEPT;
    conceal->pitch = find_pitch(end);
    conceal->periods = 1;
    conceal->position = 0;
    uint32_t quarter = conceal->pitch / 4;
    memcpy(conceal->source, conceal->kept, sizeof conceal->kept);
    memcpy(conceal->ending, end - quarter, quarter * sizeof(float));
    join(conceal);
    memcpy(end - quarter, conceal->source + RT_CONCEAL_KEPT - quarter, quarter * sizeof(float)); /* has not come out yet */
}

/* One period more, so that a long loss does not buzz: at the same phase, under an overlap. */
static void lengthen(rt_conceal *conceal, float *to)
{
    float before[RT_CONCEAL_DELAY];
    uint32_t quarter = conceal->pitch / 4, position = conceal->position;
    repeat(conceal, before, quarter);
    conceal->periods++;
    conceal->position = position % conceal->pitch;
    join(conceal);
    repeat(conceal, to, RT_HOP);
    cross(to, before, to, quarter);
}

/* Full for the first hop of a loss, falling by a fifth in each later one. */
static float level(uint32_t hops, uint32_t sample)
{
    float gone = (float)hops - 1.0f + (float)sample / RT_HOP;
    return hops == 0 ? 1.0f : fmaxf(0.0f, 1.0f - 0.2f * gone);
}

/* `count` samples of what would be heard next if the loss went on. */
static void make_up(rt_conceal *conceal, float *to, uint32_t count)
{
    if (conceal->lost >= FADE_HOPS) {
        memset(to, 0, count * sizeof(float));
        return;
    }
    if (conceal->lost == 0)
        begin(conceal);
    if (count == RT_HOP && (conceal->lost == 1 || conceal->lost == 2))
        lengthen(conceal, to);
    else
        repeat(conceal, to, count);
    for (uint32_t i = 0; i < count && conceal->lost; i++)
        to[i] *= level(conceal->lost, i);
}

/* ---- the block ---- */

size_t rt_conceal_size(void)
{
    return RT_ALIGN64(sizeof(rt_conceal));
}

int rt_conceal_init(rt_conceal *conceal)
{
    rt_conceal_reset(conceal);
    return RT_OK;
}

void rt_conceal_reset(rt_conceal *conceal)
{
    memset(conceal, 0, sizeof *conceal);
}

uint32_t rt_conceal_lost(const rt_conceal *conceal)
{
    return conceal->lost;
}

uint32_t rt_conceal_pitch(const rt_conceal *conceal)
{
    return conceal->pitch;
}

uint32_t rt_conceal_latency(const rt_conceal *conceal)
{
    (void)conceal;
    return RT_CONCEAL_DELAY;
}

static void come_back(rt_conceal *conceal, float *sound)
{
    float made_up[RT_HOP];
    uint32_t later = conceal->lost < FADE_HOPS ? conceal->lost - 1 : FADE_HOPS - 1; /* it reaches its limit before */
    uint32_t overlap = conceal->pitch / 4 + TWO_MS + FOUR_MS * later;
    overlap = overlap < RT_HOP ? overlap : RT_HOP;
    make_up(conceal, made_up, overlap);
    cross(sound, made_up, sound, overlap);
    conceal->lost = 0;
}

int rt_conceal_process(rt_conceal *conceal, const float *hop, float *out)
{
    float next[RT_HOP];
    int made_up = hop == NULL;
    if (made_up) {
        make_up(conceal, next, RT_HOP);
        conceal->lost += conceal->lost < UINT32_MAX;
    } else {
        for (int i = 0; i < RT_HOP; i++)
            next[i] = clean(hop[i]);
        if (conceal->lost)
            come_back(conceal, next);
    }
    memmove(conceal->kept, conceal->kept + RT_HOP, (RT_CONCEAL_KEPT - RT_HOP) * sizeof(float));
    memcpy(conceal->kept + RT_CONCEAL_KEPT - RT_HOP, next, sizeof next);
    memcpy(out, conceal->kept + RT_CONCEAL_KEPT - RT_CONCEAL_DELAY - RT_HOP, sizeof next);
    return made_up;
}
