/* What the network sees: right for sounds whose features are known, alike whatever came before, bounded for nonsense. */
#include "check.h"
#include "vad_features.h"

#define FLOOR (-3.5 / 1.5) /* log10 1e-10, as a feature */

static unsigned long long seed = 3;
static double tone_phase;

static rt_vad_features *make(void)
{
    rt_vad_features *f = check_memory(rt_vad_features_size());
    CHECK_EQUAL(rt_vad_features_init(f), RT_OK);
    tone_phase = 0.0;
    return f;
}

static void tone(float *hop, double frequency_hz, double amplitude)
{
    for (int i = 0; i < RT_HOP; i++, tone_phase += 2.0 * 3.141592653589793 * frequency_hz / RT_RATE)
        hop[i] = (float)(amplitude * sin(tone_phase));
}

static void silence_is_the_floor(void)
{
    rt_vad_features *f = make();
    float hop[RT_HOP] = {0}, out[RT_VAD_FEATURES];
    for (int i = 0; i < 10; i++)
        CHECK(rt_vad_features_process(f, hop, out) == 0.0f);
    for (int i = 0; i < RT_VAD_BANDS + 2; i++)
        CHECK_NEAR(out[i], FLOOR, 1e-3);
    CHECK(out[34] == -2.0f && out[35] == 0.0f); /* no period */
    free(f);
}

static void a_tone_is_in_its_band_and_has_its_period(void)
{
    static const struct { double hz; int band; } tones[] = {{100.0, 0}, {200.0, 2}, {1000.0, 10}, {4000.0, 24}};
    for (int k = 0; k < 4; k++) {
        rt_vad_features *f = make();
        float hop[RT_HOP], out[RT_VAD_FEATURES], energy = 0.0f;
        for (int i = 0; i < 20; i++) {
            tone(hop, tones[k].hz, 0.1);
            energy = rt_vad_features_process(f, hop, out);
        }
        int loudest = 0;
        for (int b = 0; b < RT_VAD_BANDS; b++)
            loudest = out[b] > out[loudest] ? b : loudest;
        CHECK(abs(loudest - tones[k].band) <= 1);
        if (tones[k].hz == 1000.0)
            CHECK_NEAR(energy, 0.005, 0.0002); /* mean square */
        if (tones[k].hz < 300.0) {
            CHECK(out[34] > 1.95f); /* periodicity 1 is feature 2 */
            CHECK_NEAR(out[35], 2.0 * log2(4000.0 / tones[k].hz / 26.0), 0.1);
        }
        free(f);
    }
}

static void ten_times_the_amplitude_is_twenty_decibels(void)
{
    rt_vad_features *a = make(), *b = make();
    float soft[RT_HOP], loud[RT_HOP], x[RT_VAD_FEATURES], y[RT_VAD_FEATURES];
    for (int i = 0; i < 20; i++) {
        for (int n = 0; n < RT_HOP; n++) {
            soft[n] = (float)(0.01 * ((double)check_random(&seed) / 2147483648.0 - 1.0));
            loud[n] = 10.0f * soft[n];
        }
        rt_vad_features_process(a, soft, x);
        rt_vad_features_process(b, loud, y);
    }
    for (int i = 0; i < RT_VAD_BANDS + 2; i++)
        CHECK_NEAR(y[i] - x[i], 2.0 / 1.5, 2e-3);
    CHECK_NEAR(y[34], x[34], 1e-4);
    free(a);
    free(b);
}

static void what_is_past_is_forgotten_and_nonsense_is_bounded(void)
{
    rt_vad_features *f = make(), *fresh = make();
    float hop[RT_HOP], x[RT_VAD_FEATURES], y[RT_VAD_FEATURES];
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -1e30f;
    for (int i = 0; i < 5; i++) {
        rt_vad_features_process(f, hop, x);
        for (int k = 0; k < RT_VAD_FEATURES; k++)
            CHECK(isfinite(x[k]) && fabsf(x[k]) < 8.0f);
    }
    for (int i = 0; i < 8; i++) {
        tone(hop, 333.0, 0.2);
        rt_vad_features_process(f, hop, x);
        rt_vad_features_process(fresh, hop, y);
    }
    CHECK(memcmp(x, y, sizeof x) == 0); /* 80 ms is more than it remembers */
    CHECK_EQUAL(rt_vad_features_latency(f), 0);
    free(f);
    free(fresh);
}

int main(void)
{
    silence_is_the_floor();
    a_tone_is_in_its_band_and_has_its_period();
    ten_times_the_amplitude_is_twenty_decibels();
    what_is_past_is_forgotten_and_nonsense_is_bounded();
    return CHECK_DONE();
}
