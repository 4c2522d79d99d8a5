/* Voices from near and far come out at the target, a room's noise no more than 6 dB up, peaks within full scale. */
#include "agc.h"
#include "check.h"

#define TAU 6.28318530717958647692

static unsigned long long seed = 3;

static float noise(float level) { return level * 1.7320508f * ((float)(check_random(&seed) % 20001) / 10000.0f - 1.0f); }

typedef struct scene {
    double speech_db, noise_db; /* after it, over the last two of ten seconds */
    float peak;
} scene;

/* A second of voice, half a second of room, again and again. */
static scene run(rt_agc *agc, float voice, float room)
{
    double power[2] = {0, 0}, count[2] = {0, 0};
    scene result = {0, 0, 0};
    for (int hop = 0; hop < 1500; hop++) {
        int speech = hop % 150 < 100;
        float x[RT_HOP];
        for (int i = 0; i < RT_HOP; i++)
            x[i] = noise(room) + (speech ? voice * 1.4142136f * (float)sin(TAU * 300.0 * (hop * RT_HOP + i) / RT_RATE) : 0.0f);
        rt_agc_process(agc, x, speech ? 0.9f : 0.1f);
        int settled = hop >= 1200 && (speech ? hop % 150 >= 10 : hop % 150 >= 135);
        for (int i = 0; i < RT_HOP; i++) {
            power[speech] += settled ? (double)x[i] * x[i] : 0;
            result.peak = fabsf(x[i]) > result.peak ? fabsf(x[i]) : result.peak;
        }
        count[speech] += settled ? RT_HOP : 0;
    }
    result.noise_db = 10 * log10(power[0] / count[0]);
    result.speech_db = 10 * log10(power[1] / count[1]);
    return result;
}

static void levels(void)
{
    static const float voices[] = {0.003f, 0.01f, 0.03f, 0.1f, 0.3f, 0.6f};
    for (size_t i = 0; i < sizeof voices / sizeof *voices; i++) {
        rt_agc *agc = check_memory(rt_agc_size());
        CHECK_EQUAL(rt_agc_init(agc, -20.0f, 40.0f), RT_OK);
        scene after = run(agc, voices[i], 0.0003f);
        CHECK_NEAR(after.speech_db, -20.0, 1.0);
        CHECK(after.noise_db < 20 * log10(0.0003) + RT_AGC_ROOM_DB + 0.3);
        CHECK(after.peak <= 1.0f);
        free(agc);
    }
}

static void goes_no_further_than_asked(void)
{
    rt_agc *agc = check_memory(rt_agc_size());
    rt_agc_init(agc, -20.0f, 12.0f);
    CHECK_NEAR(run(agc, 0.003f, 0.0f).speech_db, 20 * log10(0.003) + 12, 0.3);
    rt_agc_init(agc, -20.0f, 0.0f);
    CHECK_NEAR(run(agc, 0.3f, 0.0f).speech_db, 20 * log10(0.3), 0.01);
    free(agc);
}

/* No speech, no gain; and what is no sound does no harm. */
static void learns_from_speech_alone(void)
{
    rt_agc *agc = check_memory(rt_agc_size());
    float x[RT_HOP];
    rt_agc_init(agc, -20.0f, 40.0f);
    for (int hop = 0; hop < 500; hop++) {
        for (int i = 0; i < RT_HOP; i++)
            x[i] = noise(0.001f);
        rt_agc_process(agc, x, 0.2f);
    }
    CHECK_NEAR(rt_agc_gain_db(agc), 0, 0.01);
    memset(x, 0, sizeof x);
    for (int hop = 0; hop < 500; hop++)
        rt_agc_process(agc, x, 1.0f);
    CHECK_NEAR(rt_agc_gain_db(agc), 0, 0.01);
    for (int i = 0; i < RT_HOP; i++)
        x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -1e30f;
    rt_agc_process(agc, x, 1.0f);
    for (int i = 0; i < RT_HOP; i++)
        CHECK(fabsf(x[i]) <= 1.0f);
    CHECK(rt_agc_gain_db(agc) > -1.0f);
    CHECK_EQUAL(rt_agc_init(agc, -5.0f, 12.0f), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_agc_init(agc, -20.0f, NAN), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_agc_latency(agc), 0);
    free(agc);
}

int main(void)
{
    levels();
    goes_no_further_than_asked();
    learns_from_speech_alone();
    return CHECK_DONE();
}
