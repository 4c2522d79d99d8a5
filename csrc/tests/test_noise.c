/* Comfort noise: at its level, in its band, without a step, and none when none is asked for. */
#include "check.h"
#include "noise.h"

static double power(const float *x, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum / n;
}

int main(void)
{
    enum { HOPS = 400 };
    static float sound[HOPS * RT_HOP], slope[HOPS * RT_HOP];
    rt_noise noise = {0};
    rt_noise_add(&noise, sound, 0.0f);
    CHECK(power(sound, RT_HOP) == 0.0);
    for (int hop = 0; hop < HOPS; hop++)
        rt_noise_add(&noise, sound + hop * RT_HOP, 0.01f);
    CHECK_NEAR(10.0 * log10(power(sound + RT_HOP, (HOPS - 1) * RT_HOP)), -40.0, 0.3);
    for (int i = 0; i < HOPS * RT_HOP; i++)
        CHECK(fabsf(sound[i]) <= 0.03f);
    CHECK(power(sound, 24) < 0.1 * power(sound + RT_HOP, RT_HOP)); /* it rises along a line */
    /* the band: the difference of neighbours has less power than twice the whole, as white noise would have */
    for (int i = 1; i < HOPS * RT_HOP; i++)
        slope[i] = sound[i] - sound[i - 1];
    CHECK(power(slope, HOPS * RT_HOP) < 0.8 * power(sound, HOPS * RT_HOP));
    rt_noise_add(&noise, sound, 0.0f);
    memset(sound, 0, sizeof sound);
    rt_noise_add(&noise, sound, 0.0f);
    CHECK(power(sound, RT_HOP) == 0.0);
    return CHECK_DONE();
}
