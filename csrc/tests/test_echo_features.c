/* What the near-end network sees: right for signals whose features are known, the same for the same, bounded for nonsense; and the linear half
 * that it sees it of. */
#include "check.h"
#include "echo_features.h"
#include "echo_linear.h"

static unsigned long long seed = 5;
static float left[RT_HOP], echo[RT_HOP], reference[RT_HOP], out[RT_ECHO_FEATURES];

static float noise(void) { return (float)(check_random(&seed) / 2147483648.0 - 1.0) * 1.7320508f; } /* mean square 1 */

static void fill(float *hop, float level)
{
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = level * noise();
}

static rt_echo_features *make(void)
{
    rt_echo_features *f = check_memory(rt_echo_features_size());
    CHECK_EQUAL(rt_echo_features_init(f), RT_OK);
    return f;
}

static double mean_of(const float *sums, int kind)
{
    double sum = 0.0;
    for (int b = 0; b < RT_ECHO_BANDS; b++)
        sum += sums[kind * RT_ECHO_BANDS + b];
    return sum / RT_ECHO_BANDS;
}

static void silence_is_the_floor_and_says_nothing(void)
{
    rt_echo_features *f = make();
    memset(left, 0, sizeof left);
    for (int i = 0; i < 10; i++)
        rt_echo_features_process(f, left, left, left, out);
    for (int i = 0; i < RT_ECHO_FEATURES; i++)
        CHECK_NEAR(out[i], i < 4 * RT_ECHO_BANDS ? -4.0 / 1.5 : 0.0, 1e-3);
    free(f);
}

static void levels_are_in_decibels(void)
{
    rt_echo_features *f = make();
    float sums[RT_ECHO_FEATURES] = {0};
    for (int i = 0; i < 1000; i++) {
        fill(left, 0.01f);
        fill(echo, 0.1f);
        fill(reference, 0.0f);
        rt_echo_features_process(f, left, echo, reference, out);
        for (int n = 0; n < RT_ECHO_FEATURES; n++)
            sums[n] += out[n] / 1000.0f;
    }
    CHECK_NEAR(mean_of(sums, 0), (-4.0 + 6.0) / 1.5, 0.15); /* a mean of logarithms is below the logarithm of the mean */
    CHECK_NEAR(mean_of(sums, 1), (-2.0 + 6.0) / 1.5, 0.15);
    CHECK_NEAR(mean_of(sums, 2), (-2.0 + 6.0) / 1.5, 0.15);
    CHECK_NEAR(mean_of(sums, 3), -4.0 / 1.5, 1e-3);
    CHECK_NEAR(mean_of(sums, 4), -2.0 / 1.5, 0.05);
    CHECK_NEAR(mean_of(sums, 5), 0.0, 0.02); /* nothing in common */
    CHECK_NEAR(mean_of(sums, 6), 0.0, 0.1);
    float power[RT_ECHO_BANDS];
    rt_echo_features_power(f, RT_ECHO_ESTIMATE, power);
    for (int b = 0; b < RT_ECHO_BANDS; b++)
        CHECK_NEAR((log10(power[b] + 1e-10) + 6.0) / 1.5, out[RT_ECHO_BANDS + b], 1e-3);
    free(f);
}

/* The filter takes away what is not there: e = -y. And half of it: e = y. */
static void common_parts_are_seen(void)
{
    rt_echo_features *f = make();
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int i = 0; i < 40; i++) {
            fill(echo, 0.05f);
            for (int n = 0; n < RT_HOP; n++)
                left[n] = (float)sign * echo[n];
            rt_echo_features_process(f, left, echo, reference, out);
        }
        CHECK_NEAR(mean_of(out, 5), sign, 0.01);
        CHECK_NEAR(mean_of(out, 6), sign, 0.01);
        CHECK_NEAR(mean_of(out, 4), 0.0, 0.01);
        if (sign < 0)
            CHECK_NEAR(mean_of(out, 2), -4.0 / 1.5, 0.1); /* the microphone heard nothing */
    }
    free(f);
}

static void a_tone_is_in_its_band(void)
{
    rt_echo_features *f = make();
    double phase = 0.0;
    for (int i = 0; i < 20; i++) {
        for (int n = 0; n < RT_HOP; n++, phase += 2.0 * 3.14159265358979 * 1000.0 / RT_RATE)
            left[n] = (float)(0.1 * sin(phase));
        memset(echo, 0, sizeof echo);
        rt_echo_features_process(f, left, echo, left, out);
    }
    int loudest = 0;
    for (int b = 0; b < RT_ECHO_BANDS; b++)
        loudest = out[b] > out[loudest] ? b : loudest;
    double mel = 1127.0 * log(1.0 + 1000.0 / 700.0), low = 1127.0 * log(1.0 + 50.0 / 700.0), high = 1127.0 * log(1.0 + 8000.0 / 700.0);
    CHECK_NEAR(loudest, (mel - low) / (high - low) * (RT_ECHO_BANDS - 1), 1.0);
    memset(left, 0, sizeof left);
    for (int i = 0; i < 3; i++) { /* the reference still counts, and then no more */
        rt_echo_features_process(f, left, echo, left, out);
        CHECK(out[3 * RT_ECHO_BANDS + loudest] > 2.0f);
    }
    rt_echo_features_process(f, left, echo, left, out); /* half of the tone is still in the frame of the first of them */
    rt_echo_features_process(f, left, echo, left, out);
    CHECK_NEAR(out[3 * RT_ECHO_BANDS + loudest], -4.0 / 1.5, 1e-3);
    free(f);
}

static void nonsense_is_bounded_and_forgotten(void)
{
    rt_echo_features *f = make();
    for (int i = 0; i < 200; i++) {
        for (int n = 0; n < RT_HOP; n++) {
            left[n] = i > 20 ? 0.0f : n % 3 == 0 ? NAN : n % 3 == 1 ? INFINITY : 1e30f;
            echo[n] = i > 20 ? 0.0f : n % 2 ? -INFINITY : NAN;
        }
        rt_echo_features_process(f, left, echo, left, out);
        for (int n = 0; n < RT_ECHO_FEATURES; n++)
            CHECK(fabsf(out[n]) < 8.0f);
    }
    for (int i = 0; i < RT_ECHO_FEATURES; i++)
        CHECK_NEAR(out[i], i < 4 * RT_ECHO_BANDS ? -4.0 / 1.5 : 0.0, 1e-3);
    free(f);
}

static void one_gain_everywhere_is_that(void)
{
    rt_echo_features *f = make();
    float gains[RT_ECHO_BANDS], bins[RT_ECHO_LINES];
    for (int b = 0; b < RT_ECHO_BANDS; b++)
        gains[b] = 0.3f;
    gains[RT_ECHO_BANDS - 1] = 0.9f;
    rt_echo_features_gain(f, gains, bins);
    for (int k = 0; k <= 136; k++) /* up to the last centre but one */
        CHECK_NEAR(bins[k], 0.3, 1e-6);
    for (int k = 160; k < RT_ECHO_LINES; k++)
        CHECK_NEAR(bins[k], 0.9, 1e-6);
    free(f);
}

enum { LENGTH = 4 * RT_RATE, DELAY = 1900 };

static float sound[LENGTH], heard[LENGTH], rest[LENGTH], taken[LENGTH], aligned[LENGTH], again[LENGTH], features[LENGTH / RT_HOP * RT_ECHO_FEATURES];

/* An echo of one tap, 79 ms late: it is found, taken away, and the reference lies beside it within a hop. */
static void the_linear_half(void)
{
    rt_echo_linear *l = check_memory(rt_echo_linear_size());
    CHECK_EQUAL(rt_echo_linear_init(l), RT_OK);
    CHECK_EQUAL(rt_echo_linear_lag(l), -1);
    float a = 0.0f, b = 0.0f;
    for (int i = 0; i < LENGTH; i++) {
        a = 0.8f * a + 0.2f * noise(); /* above 8.3 kHz nothing is taken away */
        b = 0.6f * b + 0.4f * a;
        sound[i] = i % 12000 < 9000 ? 0.3f * b : 0.0f;
        heard[i] = i < DELAY ? 0.0f : 0.5f * sound[i - DELAY];
    }
    rt_echo_linear_many(l, sound, heard, LENGTH / RT_HOP, rest, taken, aligned);
    CHECK_NEAR(rt_echo_linear_lag(l), DELAY / (double)RT_HOP, 1.0);
    double before = 0.0, after = 1e-12, match = 0.0;
    uint32_t lag = (uint32_t)rt_echo_linear_lag(l);
    for (int i = LENGTH / 2; i < LENGTH; i++) {
        before += (double)heard[i] * heard[i];
        after += (double)rest[i] * rest[i];
        match += fabs(aligned[i] - sound[i - (lag - 1) * RT_HOP]);
    }
    CHECK(10.0 * log10(before / after) > 20.0);
    CHECK(match == 0.0);
    rt_echo_features *f = make();
    rt_echo_features_many(f, rest, taken, aligned, LENGTH / RT_HOP, features, NULL);
    double wrong = 0.0;
    for (int i = 200; i < 400; i++)
        wrong += fabs(mean_of(features + i * RT_ECHO_FEATURES, 5)) / 200.0;
    CHECK(wrong < 0.1); /* the filter is right, and it shows */
    rt_echo_linear_reset(l);
    for (int i = 0; i < LENGTH; i += RT_HOP) {
        float hop[RT_HOP];
        memcpy(again + i, heard + i, sizeof hop);
        rt_echo_linear_process(l, sound + i, again + i, again + i, hop, aligned + i);
    }
    CHECK(memcmp(again, rest, sizeof again) == 0);
    free(f);
    free(l);
}

int main(void)
{
    silence_is_the_floor_and_says_nothing();
    levels_are_in_decibels();
    common_parts_are_seen();
    a_tone_is_in_its_band();
    nonsense_is_bounded_and_forgotten();
    one_gain_everywhere_is_that();
    the_linear_half();
    return CHECK_DONE();
}
