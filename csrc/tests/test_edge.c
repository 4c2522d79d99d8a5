/* Edges: a tail joins on to what was heard last, a rise to silence, however the samples are cut. */
#include "check.h"
#include "edge.h"

enum { FRAMES = 600 };

static const double PI = 3.14159265358979323846;

static double falling(uint32_t k) { return 0.5 + 0.5 * cos(PI * (k + 0.5) / RT_EDGE); }

static float sound(uint32_t i) { return (float)sin(0.05 * i + 1.0); }

static uint32_t piece(unsigned long long *seed, uint32_t left)
{
    uint32_t n = check_random(seed) % 200;
    return n < left ? n : left;
}

static void a_tail_goes_backwards_and_falls(unsigned long long seed)
{
    rt_edge edge = {0};
    for (uint32_t heard = 0; heard <= 300; heard += 1 + check_random(&seed) % 40) {
        float samples[FRAMES], out[FRAMES];
        uint32_t tail = 0;
        for (uint32_t i = 0; i < FRAMES; i++)
            samples[i] = sound(i);
        rt_edge_reset(&edge);
        for (uint32_t at = 0, n; at < heard; at += n)
            rt_edge_process(&edge, samples + at, n = piece(&seed, heard - at));
        for (uint32_t i = 0; i < heard; i++)
            CHECK(samples[i] == sound(i)); /* as it is */
        CHECK(!rt_edge_has_tail(&edge));
        rt_edge_break(&edge);
        CHECK(rt_edge_has_tail(&edge));
        for (uint32_t at = 0, n; at < FRAMES; at += n)
            tail += rt_edge_tail(&edge, out + at, n = piece(&seed, FRAMES - at));
        CHECK_EQUAL(tail, RT_EDGE);
        CHECK(!rt_edge_has_tail(&edge));
        for (uint32_t i = 0; i < FRAMES; i++)
            CHECK_NEAR(out[i], i < RT_EDGE && i < heard ? falling(i) * sound(heard - 1 - i) : 0.0, 1e-6);
    }
}

static void a_rise_once(unsigned long long seed)
{
    rt_edge edge = {0};
    float samples[FRAMES], tail[RT_EDGE];
    for (uint32_t i = 0; i < FRAMES; i++)
        samples[i] = sound(i);
    rt_edge_process(&edge, samples, 50);
    rt_edge_rise(&edge);
    for (uint32_t at = 50, n; at < FRAMES; at += n)
        rt_edge_process(&edge, samples + at, n = piece(&seed, FRAMES - at));
    for (uint32_t i = 50; i < FRAMES; i++)
        CHECK_NEAR(samples[i], i < 50 + RT_EDGE ? falling(49 + RT_EDGE - i) * sound(i) : sound(i), 1e-6);
    CHECK(fabsf(samples[50]) < 1e-4f);

    rt_edge_rise(&edge); /* broken off inside its rise: the tail is of what was heard, and the rise is over */
    for (uint32_t i = 0; i < 60; i++)
        samples[i] = 1.0f;
    rt_edge_process(&edge, samples, 60);
    rt_edge_break(&edge);
    CHECK_EQUAL(rt_edge_tail(&edge, tail, RT_EDGE), RT_EDGE);
    for (uint32_t i = 0; i < RT_EDGE; i++)
        CHECK_NEAR(tail[i], i < 60 ? falling(i) * samples[59 - i] : 0.0, 1e-6);
    samples[0] = 1.0f;
    rt_edge_process(&edge, samples, 1);
    CHECK(samples[0] == 1.0f);
}

int main(void)
{
    unsigned long long seed = 271828;
    printf("seed %llu\n", seed);
    a_tail_goes_backwards_and_falls(seed);
    a_rise_once(seed);
    return CHECK_DONE();
}
