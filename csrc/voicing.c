#include "voicing.h"

#include <string.h>

#define STEP 6             /* 24 to 4 kHz */
#define LEAST_ENERGY 1e-7f /* of the window: -90 dBFS, nothing to judge */

size_t rt_voicing_size(void) { return RT_ALIGN64(sizeof(rt_voicing)); }

int rt_voicing_init(rt_voicing *v)
{
    memset(v, 0, sizeof *v);
    rt_biquad_design(&v->high_pass, 100.0, 1);
    rt_biquad_design(&v->low_pass[0], 900.0, 0);
    rt_biquad_design(&v->low_pass[1], 900.0, 0);
    return RT_OK;
}

void rt_voicing_reset(rt_voicing *v) { rt_voicing_init(v); }

static void take(rt_voicing *v, const float *hop)
{
    enum { NEW = RT_HOP / STEP };
    memmove(v->history, v->history + NEW, (RT_VOICING_HISTORY - NEW) * sizeof *v->history);
    float *out = v->history + RT_VOICING_HISTORY - NEW;
    for (int i = 0; i < RT_HOP; i++) {
        float x = rt_biquad_step(&v->high_pass, rt_biquad_tame(hop[i]));
        x = rt_biquad_step(&v->low_pass[1], rt_biquad_step(&v->low_pass[0], x));
        if (i % STEP == STEP - 1)
            *out++ = x;
    }
}

static float product(const float *a, const float *b)
{
    float sum[4] = {0};
    for (int i = 0; i < RT_VOICING_WINDOW; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += a[i + k] * b[i + k];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

/* Only a peak between lower neighbours is a period: what is merely low correlates with itself at every short lag. */
float rt_voicing_process(rt_voicing *v, const float *hop) RT_NONBLOCKING
{
    take(v, hop);
    const float *window = v->history + RT_VOICING_HISTORY - RT_VOICING_WINDOW;
    float energy = product(window, window), best = 0.0f, before = 1.0f, here = 1.0f;
    if (energy < LEAST_ENERGY)
        return 0.0f;
    float delayed = product(window - RT_VOICING_LEAST_LAG + 1, window - RT_VOICING_LEAST_LAG + 1);
    for (int lag = RT_VOICING_LEAST_LAG - 1; lag <= RT_VOICING_MOST_LAG + 1; lag++) {
        const float *then = window - lag;
        float r = 2.0f * product(window, then) / (energy + (delayed > 0.0f ? delayed : 0.0f)); /* rounding may go below 0 */
        if (lag > RT_VOICING_LEAST_LAG && here > before && here >= r && here > best)
            best = here;
        before = here;
        here = r;
        delayed += then[-1] * then[-1] - then[RT_VOICING_WINDOW - 1] * then[RT_VOICING_WINDOW - 1];
    }
    return best < 1.0f ? best : 1.0f;
}

uint32_t rt_voicing_latency(const rt_voicing *v)
{
    (void)v;
    return 0;
}
