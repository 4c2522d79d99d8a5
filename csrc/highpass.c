#include "highpass.h"
#include "ftz.h"

#include <math.h>

size_t rt_highpass_size(void) { return RT_ALIGN64(sizeof(rt_highpass)); }

/* A section of a filter of 4th order: the two damp differently (Q .541 and 1.307), so that together they are flat. */
static void design(rt_biquad *section, double cutoff_hz, double q)
{
    double k = tan(3.14159265358979323846 * cutoff_hz / RT_RATE), norm = 1.0 / (1.0 + k / q + k * k);
    section->b0 = section->b2 = (float)norm;
    section->b1 = (float)(-2.0 * norm);
    section->a1 = (float)(2.0 * (k * k - 1.0) * norm);
    section->a2 = (float)((1.0 - k / q + k * k) * norm);
}

int rt_highpass_init(rt_highpass *h, float cutoff_hz)
{
    if (!(cutoff_hz >= 20.0f && cutoff_hz <= 400.0f))
        return RT_BAD_ARGUMENT;
    design(&h->section[0], cutoff_hz, 0.54119610014619698);
    design(&h->section[1], cutoff_hz, 1.30656296487637653);
    rt_highpass_reset(h);
    return RT_OK;
}

void rt_highpass_reset(rt_highpass *h)
{
    for (int i = 0; i < 2; i++)
        h->section[i].z1 = h->section[i].z2 = 0.0f;
}

void rt_highpass_process(rt_highpass *h, float *samples, uint32_t count) RT_NONBLOCKING
{
    uint64_t mode = rt_ftz_begin();
    for (uint32_t i = 0; i < count; i++)
        samples[i] = rt_biquad_step(&h->section[1], rt_biquad_step(&h->section[0], rt_biquad_tame(samples[i])));
    rt_ftz_end(mode);
}

uint32_t rt_highpass_latency(const rt_highpass *h)
{
    (void)h;
    return 0;
}
