/* The response at some frequencies against the one of a Butterworth of 4th order, and what it does with sound that is none. */
#include "check.h"
#include "highpass.h"

#define TAU 6.28318530717958647692

static double response_db(float cutoff_hz, double hz)
{
    rt_highpass *h = check_memory(rt_highpass_size());
    double out = 0;
    CHECK_EQUAL(rt_highpass_init(h, cutoff_hz), RT_OK);
    for (int i = 0; i < 4 * RT_RATE; i++) {
        float x = 0.5f * (float)sin(TAU * hz * i / RT_RATE);
        rt_highpass_process(h, &x, 1);
        out += i >= 2 * RT_RATE ? (double)x * x : 0;
    }
    free(h);
    return 10 * log10(out / (2.0 * RT_RATE) / 0.125);
}

static void responds(void)
{
    for (float cutoff = 60; cutoff <= 240; cutoff *= 2) {
        CHECK_NEAR(response_db(cutoff, cutoff), -3.01, 0.1);
        CHECK_NEAR(response_db(cutoff, cutoff / 2), -24.1, 0.3);
        CHECK_NEAR(response_db(cutoff, 2 * cutoff), -0.017, 0.05);
        CHECK_NEAR(response_db(cutoff, 3000), 0, 0.01);
    }
}

/* Any cut of the sound gives the same, and a wild sample is gone within a second. */
static void streams(void)
{
    rt_highpass *a = check_memory(rt_highpass_size()), *b = check_memory(rt_highpass_size());
    float x[480], y[480];
    rt_highpass_init(a, 80);
    rt_highpass_init(b, 80);
    for (int i = 0; i < 480; i++)
        x[i] = y[i] = i == 100 ? INFINITY : i == 200 ? NAN : (float)(i % 37) / 37.0f;
    rt_highpass_process(a, x, 480);
    for (uint32_t i = 0; i < 480; i += 40)
        rt_highpass_process(b, y + i, 40);
    CHECK(memcmp(x, y, sizeof x) == 0);
    for (int hop = 0; hop < 100; hop++) {
        memset(x, 0, sizeof x);
        rt_highpass_process(a, x, RT_HOP);
    }
    CHECK_NEAR(x[RT_HOP - 1], 0, 1e-9);
    CHECK_EQUAL(rt_highpass_latency(a), 0);
    CHECK_EQUAL(rt_highpass_init(a, 19.0f), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_highpass_init(a, NAN), RT_BAD_ARGUMENT);
    free(a);
    free(b);
}

int main(void)
{
    responds();
    streams();
    return CHECK_DONE();
}
