/* What the suppressor takes from noise, leaves of tones and forgets of silence; its delay; what it does with sound that is none. */
#include "check.h"
#include "denoise.h"

#define TAU 6.28318530717958647692

static unsigned long long seed = 7;

static float noise(float level) /* uniform, `level` its root mean square */
{
    return level * 1.7320508f * ((float)(check_random(&seed) % 20001) / 10000.0f - 1.0f);
}

static rt_denoise *made(int preset, float strength)
{
    rt_denoise *d = check_memory(rt_denoise_size());
    CHECK_EQUAL(rt_denoise_init(d, preset, strength), RT_OK);
    return d;
}

static double power(const float *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum / n;
}

/* dB by which steady noise is lower after two seconds. */
static double taken(int preset, float strength)
{
    rt_denoise *d = made(preset, strength);
    double in = 0, out = 0;
    for (int hop = 0; hop < 300; hop++) {
        float x[RT_HOP];
        for (int i = 0; i < RT_HOP; i++)
            x[i] = noise(0.01f);
        in += hop >= 200 ? power(x, RT_HOP) : 0;
        rt_denoise_process(d, x);
        out += hop >= 200 ? power(x, RT_HOP) : 0;
    }
    CHECK_NEAR(rt_denoise_noise_db(d), -40.0, 1.0);
    free(d);
    return 10 * log10(in / out);
}

static void takes_noise_down(void)
{
    CHECK_NEAR(taken(RT_DENOISE_NEAR, 0.0f), 0.0, 0.01);
    double near = taken(RT_DENOISE_NEAR, 1.0f), far = taken(RT_DENOISE_FAR, 1.0f);
    CHECK(near > 7.0 && near < 12.0);
    CHECK(far > 11.0 && far < 18.0);
    CHECK(taken(RT_DENOISE_NEAR, 0.5f) < near - 2.0);
}

/* Strength 0 is a delay, to the sample. */
static void only_delays_at_none(void)
{
    rt_denoise *d = made(RT_DENOISE_NEAR, 0.0f);
    float kept[4][RT_HOP];
    for (int hop = 0; hop < 4; hop++) {
        float x[RT_HOP];
        for (int i = 0; i < RT_HOP; i++)
            kept[hop][i] = x[i] = noise(0.2f);
        rt_denoise_process(d, x);
        for (int i = 0; i < RT_HOP; i++)
            CHECK_NEAR(x[i], hop ? kept[hop - 1][i] : 0.0f, 1e-6);
    }
    CHECK_EQUAL(rt_denoise_latency(d), RT_HOP);
    free(d);
}

/* A voice-like tone of 300 ms, 20 dB above the noise, loses less than 1 dB. */
static void leaves_a_tone(void)
{
    rt_denoise *d = made(RT_DENOISE_FAR, 1.0f);
    double in = 0, out = 0;
    for (int hop = 0; hop < 130; hop++) {
        float x[RT_HOP];
        for (int i = 0; i < RT_HOP; i++)
            x[i] = noise(0.01f) + (hop >= 100 ? 0.14f * (float)sin(TAU * 400.0 * (hop * RT_HOP + i) / RT_RATE) : 0.0f);
        in += hop >= 105 ? power(x, RT_HOP) : 0;
        rt_denoise_process(d, x);
        out += hop >= 105 ? power(x, RT_HOP) : 0;
    }
    CHECK_NEAR(10 * log10(in / out), 0.5, 0.5);
    free(d);
}

/* Digital silence is a muted microphone: after three seconds of it the noise is still known. */
static void silence_teaches_nothing(void)
{
    rt_denoise *d = made(RT_DENOISE_NEAR, 1.0f);
    float x[RT_HOP];
    for (int hop = 0; hop < 500; hop++) {
        for (int i = 0; i < RT_HOP; i++)
            x[i] = hop < 200 ? noise(0.01f) : 0.0f;
        rt_denoise_process(d, x);
    }
    CHECK_NEAR(rt_denoise_noise_db(d), -40.0, 1.5);
    for (int i = 0; i < RT_HOP; i++)
        CHECK_EQUAL(x[i], 0);
    rt_denoise_reset(d);
    CHECK_NEAR(rt_denoise_noise_db(d), -120.0, 0.1);
    free(d);
}

static void survives_what_is_no_sound(void)
{
    rt_denoise *d = made(RT_DENOISE_FAR, 2.0f);
    float x[RT_HOP];
    for (int hop = 0; hop < 40; hop++) {
        for (int i = 0; i < RT_HOP; i++)
            x[i] = hop < 10 ? (i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -1e30f) : noise(0.1f);
        rt_denoise_process(d, x);
        for (int i = 0; i < RT_HOP; i++)
            CHECK(x[i] == x[i] && fabsf(x[i]) <= 8.0f);
    }
    CHECK_EQUAL(rt_denoise_set(d, 2, 1.0f), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_denoise_set(d, RT_DENOISE_NEAR, NAN), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_denoise_init(d, RT_DENOISE_NEAR, -0.1f), RT_BAD_ARGUMENT);
    free(d);
}

int main(void)
{
    takes_noise_down();
    only_delays_at_none();
    leaves_a_tone();
    silence_teaches_nothing();
    survives_what_is_no_sound();
    return CHECK_DONE();
}
