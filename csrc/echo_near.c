#include "echo_near.h"
#include "ftz.h"

#include <math.h>
#include <string.h>

#define SOUNDS -2.2f     /* feature of a band in which there is an echo: -93 dBFS */
#define FOLLOWS 0.04f    /* share of the newest, per hop: 250 ms */
#define RISES 0.002f     /* dB per hop, while somebody is near */
#define LEAST_AWAY 2.0f  /* dB */
#define RIGHT_FROM -0.35f
#define RIGHT_TO 0.5f
#define ABOVE 0.6f       /* feature: 9 dB */
#define FLOOR_RISES 0.0005f
#define FLOOR_FOLLOWS 0.2f /* share of the newest in the smoothed level whose least is a band's floor */
#define NOISE 0.35f      /* feature, 5 dB: so far above its floor a band holds nothing but the room's noise */

enum { LEARNING = 20, HOLD = 15 };

size_t rt_echo_near_size(void) { return RT_ALIGN64(sizeof(rt_echo_near)); }

int rt_echo_near_init(rt_echo_near *n)
{
    rt_echo_near_reset(n);
    return RT_OK;
}

void rt_echo_near_reset(rt_echo_near *n)
{
    memset(n, 0, sizeof *n);
    n->least = 10.0f;
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        n->floor[b] = n->level[b] = 10.0f;
}

/* By how many deviations it is beyond the usual. */
static float beyond(const rt_echo_usual *u, float db)
{
    float z = (db - u->mean) / (u->away > LEAST_AWAY ? u->away : LEAST_AWAY);
    return z < -1.0f ? -1.0f : z > 4.0f ? 4.0f : z;
}

static void follow(rt_echo_usual *u, float db, uint32_t met, int near)
{
    float away = db - u->mean, share = met < LEARNING ? 1.0f / (float)(met + 1) : FOLLOWS;
    if (met == 0) {
        u->mean = db;
        u->away = 4.0f;
    } else if (near) {
        u->mean += away < 0.0f ? FOLLOWS * away : RISES;
    } else {
        u->mean += share * away;
        u->away += share * (1.25f * fabsf(away) - u->away);
    }
}

static float rest_db(const float *features, uint32_t b) { return 15.0f * features[4 * RT_ECHO_BANDS + b]; }

static float loud_db(const float *features, uint32_t b) { return 15.0f * (features[2 * RT_ECHO_BANDS + b] - features[3 * RT_ECHO_BANDS + b]); }

static int sounds(const float *features, uint32_t b)
{
    return features[RT_ECHO_BANDS + b] > SOUNDS && features[3 * RT_ECHO_BANDS + b] > SOUNDS;
}

/* How far what is heard is beyond what the echo leaves; -1 where there is no echo. */
static float compare(const rt_echo_near *n, const float *features)
{
    float rest = 0.0f, loud = 0.0f, wrong = 0.0f, count = 0.0f, known = 0.0f;
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++) {
        if (!sounds(features, b))
            continue;
        count += 1.0f;
        wrong += features[5 * RT_ECHO_BANDS + b];
        if (n->met[b] < LEARNING)
            continue;
        known += 1.0f;
        float z = beyond(&n->rest[b], rest_db(features, b));
        rest += z > 0.0f && features[b] < n->floor[b] + NOISE ? 0.0f : z;
        loud += beyond(&n->loud[b], loud_db(features, b));
    }
    if (count < 3.0f)
        return -1.0f;
    if (known < 0.5f * count)
        return 0.0f;
    rest /= known;
    loud /= known;
    wrong /= count;
    rest = rest > 0.0f ? rest : 0.0f;
    return wrong > RIGHT_FROM && wrong < RIGHT_TO ? rest : loud < rest ? (loud > 0.0f ? loud : 0.0f) : rest;
}

/* How far it is beyond the least that was heard. */
static float without_echo(rt_echo_near *n, const float *features)
{
    float level = 0.0f;
    for (uint32_t b = 2; b < 18; b++)
        level += features[b] / 16.0f;
    n->least = level < n->least ? level : n->least + FLOOR_RISES;
    float above = (level - n->least) / ABOVE;
    return above > 2.0f ? 2.0f : above;
}

static void follow_floor(rt_echo_near *n, const float *features)
{
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++) {
        n->level[b] += FLOOR_FOLLOWS * (features[b] - n->level[b]);
        n->floor[b] = n->level[b] < n->floor[b] ? n->level[b] : n->floor[b] + FLOOR_RISES;
    }
}

static float gain_of(const rt_echo_near *n, const float *features, uint32_t b)
{
    if (!sounds(features, b))
        return 1.0f;
    const rt_echo_usual *u = &n->rest[b];
    float echo = powf(10.0f, 0.1f * (u->mean + (u->away > LEAST_AWAY ? u->away : LEAST_AWAY) - rest_db(features, b)));
    return echo < 1.0f ? sqrtf(1.0f - echo) : 0.0f;
}

float rt_echo_near_process(rt_echo_near *n, const float *features, float *gains) RT_NONBLOCKING
{
    uint64_t mode = rt_ftz_begin();
    follow_floor(n, features);
    float z = compare(n, features), heard = without_echo(n, features), probability;
    z = z < 0.0f ? heard : z;
    probability = z > 2.0f ? 1.0f : 0.5f * z;
    n->held = z > 1.0f ? HOLD : n->held - (n->held > 0);
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++) {
        gains[b] = gain_of(n, features, b);
        if (!sounds(features, b))
            continue;
        follow(&n->rest[b], rest_db(features, b), n->met[b], n->held > 0);
        follow(&n->loud[b], loud_db(features, b), n->met[b], n->held > 0);
        n->met[b] += n->met[b] < LEARNING;
    }
    rt_ftz_end(mode);
    return probability;
}

uint32_t rt_echo_near_latency(const rt_echo_near *n)
{
    (void)n;
    return 0;
}
