#include "volume.h"
#include "pcm.h"

#include <math.h>

#define KNEE 0.7f            /* of full scale, at volume 2 and above */
#define FALLS 0.9549926f     /* per hop: 40 dB per second */
#define ATTACK 48            /* samples, 2 ms */
#define MOST 1e6f

size_t rt_volume_size(void) { return RT_ALIGN64(sizeof(rt_volume)); }

int rt_volume_init(rt_volume *v, uint32_t ramp_ms)
{
    if (ramp_ms < 10 || ramp_ms > 1000)
        return RT_BAD_ARGUMENT;
    v->ramp_hops = (ramp_ms + 9) / 10;
    rt_volume_reset(v);
    return RT_OK;
}

void rt_volume_reset(rt_volume *v)
{
    v->left = 0;
    v->gain = v->target = 1.0f;
    v->loudest = 0.0f;
}

void rt_volume_jump(rt_volume *v, float gain) RT_NONBLOCKING
{
    v->gain = v->target = gain;
    v->left = 0;
}

float rt_volume_gain(const rt_volume *v) RT_NONBLOCKING { return v->gain; }

static float knee(float gain)
{
    float at = 2.0f - gain;
    return gain <= 1.0f ? 1.0f : at > KNEE ? at : KNEE;
}

/* What a magnitude becomes: itself up to the knee, then ever less, never above full scale. */
static float bent(float loud, float at)
{
    float room = 1.0f - at;
    return room > 0.0f ? at + room * (1.0f - expf((at - loud) / room)) : 1.0f;
}

/* The largest magnitude of a hop, whose NaN become 0 and whose infinities must not hold it down for ever. */
static float loudest_of(float *hop)
{
    float most = 0.0f;
    for (int i = 0; i < RT_HOP; i++) {
        hop[i] = hop[i] == hop[i] ? hop[i] : 0.0f;
        most = fabsf(hop[i]) > most ? fabsf(hop[i]) : most;
    }
    return most < MOST ? most : MOST;
}

/* The hop is known before it is heard, so the gain goes down along a line too, in 2 ms; what is louder before that is clamped. */
static int limit(rt_volume *v, float *hop, float from, float to)
{
    float at = from, step = (to - from) / RT_HOP, loud = v->loudest, peak = loudest_of(hop), fallen = loud * FALLS;
    float then = peak > fallen ? peak : fallen;
    int rises = then > loud, limited = 0;
    float change = (then - loud) / (rises ? ATTACK : RT_HOP);
    for (int i = 0; i < RT_HOP; i++, at += step) {
        loud += !rises || i < ATTACK ? change : 0.0f;
        float x = hop[i];
        if (loud > at) {
            x *= bent(loud, at) / loud;
            limited = 1;
        }
        hop[i] = x > 1.0f ? 1.0f : x < -1.0f ? -1.0f : x;
    }
    v->loudest = then;
    return limited;
}

int rt_volume_process(rt_volume *v, float *hop, float target) RT_NONBLOCKING
{
    float from = v->gain;
    if (target != v->target) {
        v->target = target;
        v->left = v->ramp_hops;
    }
    if (v->left > 0)
        v->gain = v->left == 1 ? target : from + (target - from) / (float)v->left;
    v->left -= v->left > 0;
    if (v->gain != from)
        rt_pcm_ramp(hop, RT_HOP, from, v->gain);
    else if (from != 1.0f)
        rt_pcm_gain(hop, RT_HOP, from);
    float at = knee(from), then = knee(v->gain), least = at < then ? at : then;
    int over = 0; /* NaN too */
    for (int i = 0; i < RT_HOP; i++)
        over |= !(fabsf(hop[i]) <= least);
    if (!over && v->loudest <= least) {
        v->loudest = 0.0f;
        return 0;
    }
    return limit(v, hop, at, then);
}

uint32_t rt_volume_latency(const rt_volume *v)
{
    (void)v;
    return 0;
}
