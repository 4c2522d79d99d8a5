#include "arrival.h"

#include <string.h>

#define FAST_ENOUGH 1.2f
#define NO_TIME_AT_ALL 1000.0f /* the rate of a response that came all at once */

void rt_arrival_reset(rt_arrival *a) { memset(a, 0, sizeof *a); }

static void keep(rt_arrival *a)
{
    if (a->response == 0 || a->sound == a->first_sound)
        return;
    uint32_t at = a->count++ % RT_ARRIVAL_RESPONSES;
    float after = (float)(a->sound - a->first_sound), time = (float)(a->last - a->first);
    a->rates[at] = after < NO_TIME_AT_ALL * time ? after / time : NO_TIME_AT_ALL;
    a->waits[at] = (float)a->needed;
}

void rt_arrival_note(rt_arrival *a, uint32_t response, uint32_t samples, uint64_t now)
{
    if (response < a->response || samples == 0)
        return;
    if (response > a->response) {
        keep(a);
        a->response = response;
        a->first = now;
        a->sound = 0;
        a->first_sound = samples;
        a->needed = 0;
    }
    int64_t late = (int64_t)(now - a->first) - (int64_t)a->sound;
    a->needed = late > a->needed && a->sound > 0 ? late : a->needed;
    a->last = now;
    a->sound += samples;
}

/* The quantile of the responses kept, between neighbours in proportion; 0 when there are none. */
static float quantile(const rt_arrival *a, const float *values, float q)
{
    float sorted[RT_ARRIVAL_RESPONSES];
    uint32_t n = a->count < RT_ARRIVAL_RESPONSES ? a->count : RT_ARRIVAL_RESPONSES;
    if (n == 0)
        return 0.0f;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = i;
        for (; k > 0 && sorted[k - 1] > values[i]; k--)
            sorted[k] = sorted[k - 1];
        sorted[k] = values[i];
    }
    float at = q * (float)(n - 1);
    uint32_t below = (uint32_t)at, above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (at - (float)below) * (sorted[above] - sorted[below]);
}

uint32_t rt_arrival_refill(const rt_arrival *a)
{
    float wait = quantile(a, a->waits, 0.8f);
    return wait < (float)RT_ARRIVAL_MOST ? (uint32_t)wait : RT_ARRIVAL_MOST;
}

uint32_t rt_arrival_start(const rt_arrival *a)
{
    return a->count > 0 && quantile(a, a->rates, 0.5f) < FAST_ENOUGH ? rt_arrival_refill(a) : 0;
}
