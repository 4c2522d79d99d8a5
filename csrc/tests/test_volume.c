/* Volume: ramps without a step, sound that passes untouched, and a limiter that holds anything within full scale. */
#include "check.h"
#include "volume.h"

#define PI 3.14159265358979323846

static rt_volume *make(uint32_t ramp_ms)
{
    rt_volume *v = check_memory(rt_volume_size());
    CHECK_EQUAL(rt_volume_init(v, ramp_ms), RT_OK);
    return v;
}

static void fill(float *hop, float value)
{
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = value;
}

static void at_1_it_is_untouched(void)
{
    rt_volume *v = make(10);
    unsigned long long seed = 99;
    for (int h = 0; h < 200; h++) {
        float hop[RT_HOP], before[RT_HOP];
        for (int i = 0; i < RT_HOP; i++)
            hop[i] = (float)((double)check_random(&seed) / 2147483648.0 - 1.0);
        hop[7] = h % 2 ? 1.0f : -1.0f; /* full scale too */
        memcpy(before, hop, sizeof hop);
        CHECK_EQUAL(rt_volume_process(v, hop, 1.0f), 0);
        CHECK(memcmp(hop, before, sizeof hop) == 0);
    }
    CHECK_EQUAL(rt_volume_latency(v), 0);
    free(v);
}

static void ramps_are_straight_and_as_long_as_asked(void)
{
    for (uint32_t ms = 10; ms <= 1000; ms += 90) {
        rt_volume *v = make(ms);
        float hop[RT_HOP], last = 0.5f;
        uint32_t hops = (ms + 9) / 10;
        for (uint32_t h = 0; h < hops + 3; h++) {
            fill(hop, 0.5f);
            rt_volume_process(v, hop, 0.1f);
            for (int i = 0; i < RT_HOP; last = hop[i++])
                CHECK(hop[i] <= last + 1e-6f && last - hop[i] < 0.45f / (float)(hops * RT_HOP) + 1e-6f);
            CHECK((rt_volume_gain(v) == 0.1f) == (h + 1 >= hops));
        }
        for (uint32_t h = 0; h < hops / 2; h++) /* turned round on the way: from where it is */
            rt_volume_process(v, hop, 1.0f);
        float there = rt_volume_gain(v);
        fill(hop, 0.5f);
        rt_volume_process(v, hop, 0.0f);
        CHECK_NEAR(hop[0], 0.5f * there, 1e-6);
        rt_volume_jump(v, 0.25f);
        fill(hop, 0.5f);
        rt_volume_process(v, hop, 0.25f);
        CHECK(hop[0] == 0.125f && hop[RT_HOP - 1] == 0.125f);
        free(v);
    }
}

/* A tone far too loud: no step larger than its own, never beyond full scale, round below it, and as it was when it is soft again. */
static void the_limiter_is_soft(void)
{
    rt_volume *v = make(10);
    float hop[RT_HOP], last = 0.0f, most = 0.0f;
    int acted = 0;
    for (int h = 0; h < 300; h++) {
        float loud = h < 200 ? 0.9f : 0.05f;
        for (int i = 0; i < RT_HOP; i++)
            hop[i] = loud * (float)sin(2.0 * PI * 300.0 * (h * RT_HOP + i) / RT_RATE);
        int limited = rt_volume_process(v, hop, h < 250 ? 4.0f : 1.0f);
        acted += limited;
        CHECK_EQUAL(limited, h < 200 || h < 250 ? limited : 0);
        for (int i = 0; i < RT_HOP; last = hop[i++]) {
            CHECK(fabsf(hop[i]) <= 1.0f);
            CHECK(h == 200 || fabsf(hop[i] - last) < 4.0f * 0.9f * (float)(2.0 * PI * 300.0 / RT_RATE));
            most = h > 2 && h < 200 && fabsf(hop[i]) > most ? fabsf(hop[i]) : most;
        }
    }
    CHECK(most > 0.95f && most < 1.0f); /* the knee never reaches full scale */
    CHECK(acted >= 200 && acted < 290);
    CHECK_NEAR(hop[20], 0.05f * (float)sin(2.0 * PI * 300.0 * (299 * RT_HOP + 20) / RT_RATE), 1e-6); /* untouched again */
    free(v);
}

/* Third harmonic of a tone 6 dB too loud, once the limiter follows it: a soft one hardly bends the wave, clipping gives 19 %. */
static void it_bends_little(void)
{
    rt_volume *v = make(10);
    double re[2] = {0}, im[2] = {0};
    for (int h = 0; h < 200; h++) {
        float hop[RT_HOP];
        for (int i = 0; i < RT_HOP; i++)
            hop[i] = (float)sin(2.0 * PI * 500.0 * (h * RT_HOP + i) / RT_RATE);
        rt_volume_process(v, hop, 2.0f);
        for (int i = 0; h >= 100 && i < RT_HOP; i++)
            for (int k = 0; k < 2; k++) {
                double angle = 2.0 * PI * 500.0 * (k ? 3 : 1) * (h * RT_HOP + i) / RT_RATE;
                re[k] += hop[i] * cos(angle);
                im[k] += hop[i] * sin(angle);
            }
    }
    double third = hypot(re[1], im[1]) / hypot(re[0], im[0]);
    printf("third harmonic %.4f\n", third);
    CHECK(third < 0.01);
    free(v);
}

static void rubbish_is_held(void)
{
    rt_volume *v = make(10);
    float hop[RT_HOP];
    static const float rubbish[] = {NAN, INFINITY, -INFINITY, 1e30f, -5.0f, 1e-40f};
    for (int h = 0; h < 60; h++) {
        for (int i = 0; i < RT_HOP; i++)
            hop[i] = rubbish[(h + i) % 6];
        rt_volume_process(v, hop, h % 2 ? 1.0f : 3.0f);
        for (int i = 0; i < RT_HOP; i++)
            CHECK(hop[i] >= -1.0f && hop[i] <= 1.0f);
    }
    for (int h = 0; h < 1000; h++) { /* and lets go: 120 dB at 40 dB per second are 3 s, plus the knee */
        fill(hop, 0.01f);
        rt_volume_process(v, hop, 1.0f);
    }
    CHECK(hop[0] == 0.01f);
    CHECK_EQUAL(rt_volume_init(v, 9), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_volume_init(v, 1001), RT_BAD_ARGUMENT);
    free(v);
}

int main(void)
{
    at_1_it_is_untouched();
    ramps_are_straight_and_as_long_as_asked();
    the_limiter_is_soft();
    it_bends_little();
    rubbish_is_held();
    return CHECK_DONE();
}
