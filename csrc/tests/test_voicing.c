/* Voicing: voices and tones have a pitch, noises, knocks and silence have none. */
#include "check.h"
#include "voicing.h"

#define PI 3.14159265358979323846

static unsigned long long seed = 4711;

static double noise(void) { return (double)check_random(&seed) / 2147483648.0 - 1.0; }

/* Sounds by number, one sample. */
static float sound(int kind, int i, double hz)
{
    double t = i / (double)RT_RATE, buzz = 0.0, low = 0.0;
    static double brown, before;
    for (int k = 1; k * hz < 900.0; k++)
        buzz += cos(2.0 * PI * hz * k * t) / k;
    brown = 0.99 * brown + 0.1 * noise();
    low = 0.6 * before + 0.4 * noise();
    before = low;
    switch (kind) {
    case 0: return (float)(0.1 * buzz);
    case 1: return (float)(0.1 * buzz + 0.05 * noise());                              /* a hoarse voice */
    case 2: return (float)(0.3 * noise());                                            /* a rustle */
    case 3: return (float)(0.3 * low);
    case 4: return (float)brown;                                                      /* wind */
    case 5: return i % 2400 == 0 ? 0.9f : 0.0f;                                       /* clicks */
    case 6: return (float)(0.5 * noise() * exp(-(i % 4800) / 800.0));                 /* knocks */
    case 7: return (float)(0.3 * sin(2.0 * PI * 50.0 * t));                           /* hum: below any voice */
    case 8: return NAN;
    default: return 0.0f;
    }
}

/* The share of 100 hops in which there is a pitch, by the default threshold. */
static double share(int kind, double hz)
{
    rt_voicing *v = check_memory(rt_voicing_size());
    CHECK_EQUAL(rt_voicing_init(v), RT_OK);
    float hop[RT_HOP];
    int pitched = 0;
    for (int h = 0; h < 104; h++) {
        for (int i = 0; i < RT_HOP; i++)
            hop[i] = sound(kind, h * RT_HOP + i, hz);
        float r = rt_voicing_process(v, hop);
        CHECK(r >= 0.0f && r <= 1.0f);
        pitched += h >= 4 && r >= 0.6f;
    }
    free(v);
    return pitched / 100.0;
}

static void voices_and_noises(void)
{
    for (double hz = 75.0; hz < 390.0; hz *= 1.07)
        CHECK(share(0, hz) == 1.0 && share(1, hz) > 0.9);
    for (int kind = 2; kind < 10; kind++) {
        double got = share(kind, 0.0 + 120.0);
        printf("kind %d: %.2f\n", kind, got);
        CHECK(got <= (kind <= 4 ? 0.1 : kind == 6 ? 0.05 : 0.0));
    }
}

/* 20 to 30 ms after a voice begins its pitch shows, and it goes with the voice. */
static void it_comes_and_goes(void)
{
    rt_voicing *v = check_memory(rt_voicing_size());
    rt_voicing_init(v);
    float hop[RT_HOP];
    int first = -1, last = -1;
    for (int h = 0; h < 40; h++) {
        for (int i = 0; i < RT_HOP; i++)
            hop[i] = h >= 10 && h < 25 ? sound(0, h * RT_HOP + i, 130.0) : 0.0f;
        if (rt_voicing_process(v, hop) >= 0.6f)
            first = first < 0 ? h : first, last = h;
    }
    printf("pitch of hops 10..24 in hops %d..%d\n", first, last);
    CHECK(first >= 10 && first <= 13 && last >= 24 && last <= 27);
    rt_voicing_reset(v);
    memset(hop, 0, sizeof hop);
    CHECK(rt_voicing_process(v, hop) == 0.0f);
    CHECK_EQUAL(rt_voicing_latency(v), 0);
    free(v);
}

int main(void)
{
    printf("seed %llu\n", seed);
    voices_and_noises();
    it_comes_and_goes();
    return CHECK_DONE();
}
