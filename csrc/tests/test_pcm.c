/* Samples against their definition, one at a time and in double. */
#include "check.h"
#include "pcm.h"

enum { FRAMES = 523 };

static void check_every_int16_comes_back(void)
{
    static int16_t in[65536], out[65536];
    static float floats[65536];

    for (int i = 0; i < 65536; i++)
        in[i] = (int16_t)(i - 32768);
    rt_pcm_to_float(in, floats, 65536);
    CHECK(floats[0] == -1.0f && floats[32768] == 0.0f && floats[65535] == 32767.0f / 32768.0f);
    rt_pcm_from_float(floats, out, 65536);
    CHECK(memcmp(in, out, sizeof in) == 0);
}

static void check_rounding(void)
{
    unsigned long long seed = 20260101;
    float in[FRAMES];
    int16_t out[FRAMES];

    for (int i = 0; i < FRAMES; i++) /* every other one a half, some out of range */
        in[i] = ((float)(check_random(&seed) % 140000) - 70000.0f) / 65536.0f;
    rt_pcm_from_float(in, out, FRAMES);
    for (int i = 0; i < FRAMES; i++) {
        double wanted = nearbyint((double)in[i] * 32768.0);
        CHECK_EQUAL(out[i], fmin(fmax(wanted, -32768.0), 32767.0));
    }

    const float odd[] = {NAN, -NAN, INFINITY, -INFINITY, 1.0f, -1.0f, 1.0e38f, -0.0f, 1.0e-40f};
    const int16_t meant[] = {0, 0, 32767, -32768, 32767, -32768, 32767, 0, 0};
    rt_pcm_from_float(odd, out, 9);
    for (int i = 0; i < 9; i++)
        CHECK_EQUAL(out[i], meant[i]);
}

static void check_channels(void)
{
    static float mono[FRAMES], spread[FRAMES * 5 + 1];

    for (uint32_t channels = 1; channels <= 5; channels++) {
        for (uint32_t i = 0; i < FRAMES; i++)
            mono[i] = (float)(i + channels);
        spread[FRAMES * channels] = 99.0f;
        rt_pcm_spread(mono, spread, channels, FRAMES);
        for (uint32_t i = 0; i < FRAMES * channels; i++)
            CHECK(spread[i] == mono[i / channels]);
        CHECK(spread[FRAMES * channels] == 99.0f);
    }
}

static void check_gain_and_ramp(void)
{
    float samples[FRAMES];

    for (int i = 0; i < FRAMES; i++)
        samples[i] = 0.5f;
    rt_pcm_gain(samples, FRAMES, 0.25f);
    for (int i = 0; i < FRAMES; i++)
        CHECK(samples[i] == 0.125f);

    rt_pcm_ramp(samples, FRAMES, 1.0f, 0.0f);
    for (int i = 0; i < FRAMES; i++)
        CHECK_NEAR(samples[i], 0.125 * (1.0 - (double)i / FRAMES), 1e-7);
    CHECK(samples[0] == 0.125f);
    rt_pcm_ramp(samples, 0, 1.0f, 0.0f); /* an empty block divides by nothing */
}

static void check_level(void)
{
    float samples[FRAMES];

    for (uint32_t count = 0; count <= FRAMES; count += count < 20 ? 1 : 71) {
        double sum = 0.0, peak = 0.0;
        for (uint32_t i = 0; i < count; i++) {
            samples[i] = (float)sin(0.1 * i) * (i % 7 ? 0.5f : -0.75f);
            sum += (double)samples[i] * samples[i];
            peak = fmax(peak, fabs((double)samples[i]));
        }
        rt_pcm_level level = rt_pcm_measure(samples, count);
        CHECK(level.peak == (float)peak);
        CHECK_NEAR(level.mean_square, count ? sum / count : 0.0, 1e-6);
    }

    const float broken[] = {NAN, 0.5f, -INFINITY, 0.0f};
    rt_pcm_level level = rt_pcm_measure(broken, 4);
    CHECK(level.peak == 1.0f);
    CHECK_NEAR(level.mean_square, 1.25 / 4, 1e-7);
}

int main(void)
{
    check_every_int16_comes_back();
    check_rounding();
    check_channels();
    check_gain_and_ramp();
    check_level();
    return CHECK_DONE();
}
