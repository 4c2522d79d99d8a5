#include "conceal.h"

#include <math.h>
#include <string.h>

enum {
    COARSE = 4,    /* decimation of the first search */
    WINDOW = 384,  /* 16 ms; with the 20 of Appendix I, or without TWO_MS, the speech of bench/conceal.py fares worse */
    COARSE_KEPT = (WINDOW + RT_CONCEAL_MOST) / COARSE,
    FADE_HOPS = 6, /* silence from 60 ms on */
    LONGEST = 1 << 30, /* samples: a longer loss counts as this */
    TWO_MS = 48,
    FOUR_MS = 96
};

static float clean(float sample)
{
    float size = fabsf(sample);
    return size >= 1e-15f && size <= 8.0f ? sample : 0.0f; /* NaN compares false; what is lost as it fades stays kept */
}

/* From `out` towards `in` under a raised cosine: sample i of count. */
static float crossed(float out, float in, uint32_t i, uint32_t count)
{
    float share = 0.5f - 0.5f * cosf(3.14159265f * ((float)i + 0.5f) / (float)count);
    return out + share * (in - out);
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
    for (uint32_t i = 0; i < quarter; i++)
        end[(int)i - (int)quarter] = crossed(conceal->ending[i], *(end - repeated - quarter + i), i, quarter);
}

static float repeated(rt_conceal *conceal)
{
    uint32_t length = conceal->periods * conceal->pitch;
    float sample = conceal->source[RT_CONCEAL_KEPT - length + conceal->position];
    if (++conceal->position == length)
        conceal->position = 0;
    return sample;
}

static void begin(rt_conceal *conceal)
{
    float *end = conceal->kept + RT_CONCEAL_KEPT;
    conceal->pitch = find_pitch(end);
    conceal->periods = 1;
    conceal->position = 0;
    conceal->joint_left = conceal->return_left = 0;
    uint32_t quarter = conceal->pitch / 4;
    memcpy(conceal->source, conceal->kept, sizeof conceal->kept);
    memcpy(conceal->ending, end - quarter, quarter * sizeof(float));
    join(conceal);
    memcpy(end - quarter, conceal->source + RT_CONCEAL_KEPT - quarter, quarter * sizeof(float)); /* has not come out yet */
}

/* One period more, so that a long loss does not buzz: at the same phase, under an overlap of a quarter period. */
static void lengthen(rt_conceal *conceal)
{
    uint32_t quarter = conceal->pitch / 4, position = conceal->position;
    for (uint32_t i = 0; i < quarter; i++)
        conceal->joint[i] = repeated(conceal);
    conceal->joint_left = quarter;
    conceal->periods++;
    conceal->position = position % conceal->pitch;
    join(conceal);
}

/* Full for the first 10 ms of a loss, falling by a fifth in each later one. */
static float level(uint32_t sample)
{
    float gone = (float)sample / RT_HOP - 1.0f;
    return sample < RT_HOP ? 1.0f : fmaxf(0.0f, 1.0f - 0.2f * gone);
}

/* The n-th sample since the loss began; once sound is `back` no period is added any more. */
static float made_up(rt_conceal *conceal, uint32_t n, int back)
{
    if (n >= FADE_HOPS * RT_HOP)
        return 0.0f;
    if (!back && (n == RT_HOP || n == 2 * RT_HOP))
        lengthen(conceal);
    float sample = repeated(conceal);
    if (conceal->joint_left > 0) {
        uint32_t quarter = conceal->pitch / 4, i = quarter - conceal->joint_left--;
        sample = crossed(conceal->joint[i], sample, i, quarter);
    }
    return sample * level(n);
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
    return conceal->lost / RT_HOP;
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

/* Sound is here again: how long it is laid over what is made up. */
static void come_back(rt_conceal *conceal)
{
    uint32_t hops = (conceal->lost + RT_HOP - 1) / RT_HOP;
    uint32_t later = hops < FADE_HOPS ? hops - 1 : FADE_HOPS - 1; /* it reaches its limit before */
    uint32_t overlap = conceal->pitch / 4 + TWO_MS + FOUR_MS * later;
    conceal->overlap = conceal->return_left = overlap < RT_HOP ? overlap : RT_HOP;
    conceal->returning = conceal->lost;
    conceal->lost = 0;
}

static float real(rt_conceal *conceal, float sample)
{
    sample = clean(sample);
    if (conceal->return_left == 0)
        return sample;
    uint32_t i = conceal->overlap - conceal->return_left--;
    return crossed(made_up(conceal, conceal->returning + i, 1), sample, i, conceal->overlap);
}

void rt_conceal_part(rt_conceal *conceal, const float *sound, uint32_t count, float *out)
{
    float next[RT_HOP];
    count = count < RT_HOP ? count : RT_HOP;
    if (sound != NULL && count > 0 && conceal->lost > 0)
        come_back(conceal);
    if (sound == NULL && count > 0 && conceal->lost == 0)
        begin(conceal);
    for (uint32_t i = 0; i < count; i++) {
        next[i] = sound != NULL ? real(conceal, sound[i]) : made_up(conceal, conceal->lost, 0);
        conceal->lost += sound == NULL && conceal->lost < LONGEST;
    }
    memmove(conceal->kept, conceal->kept + count, (RT_CONCEAL_KEPT - count) * sizeof(float));
    memcpy(conceal->kept + RT_CONCEAL_KEPT - count, next, count * sizeof(float));
    memcpy(out, conceal->kept + RT_CONCEAL_KEPT - RT_CONCEAL_DELAY - count, count * sizeof(float));
}

void rt_conceal_seam(rt_conceal *conceal)
{
    if (conceal->lost > 0)
        return;
    begin(conceal);
    conceal->returning = 0;
    conceal->overlap = conceal->return_left = conceal->pitch / 4 + TWO_MS;
}

int rt_conceal_process(rt_conceal *conceal, const float *hop, float *out)
{
    rt_conceal_part(conceal, hop, RT_HOP, out);
    return hop == NULL;
}
