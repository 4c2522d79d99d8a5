/* The whole canceller: an echo goes, a talker stays, also while both are there; the gate, the noise, the ways, and what is no sound. The room is
 * made here. */
#include "check.h"
#include "echo.h"

enum { SECONDS = 10, LENGTH = SECONDS * RT_RATE, HOPS = LENGTH / RT_HOP, ROOM = 1200 };

static unsigned long long seed;
static float reference[LENGTH], echo[LENGTH], talker[LENGTH], noise[LENGTH], microphone[LENGTH], out[LENGTH], room[ROOM];
static rt_echo_result results[HOPS];

static float white(void) { return (float)(check_random(&seed) % 20001) / 10000.0f - 1.0f; }

/* Noise below 4 kHz in syllables of 200 ms and words of `period` samples, from `first` on: a buzz of its own pitch on top. */
static void speech(float *sound, float level, uint32_t period, uint32_t first, float hz)
{
    float a = 0.0f, b = 0.0f;
    for (uint32_t i = 0; i < LENGTH; i++) {
        double t = (double)i / RT_RATE;
        a = 0.7f * a + 0.3f * white();
        b = 0.6f * b + 0.4f * a;
        float swell = 0.6f - 0.4f * (float)cos(2.0 * 3.14159265 * 5.0 * t), buzz = fmod(t * hz, 1.0) < 0.1 ? 1.0f : -0.1f;
        sound[i] = i >= first && i % period < period * 3 / 4 ? level * swell * (2.0f * b + buzz) : 0.0f;
    }
}

static void build(uint32_t delay, float loudness, float noise_level)
{
    seed = 11;
    for (uint32_t k = 0; k < ROOM; k++)
        room[k] = loudness * 0.4f * white() * expf(-(float)k / 250.0f);
    speech(reference, 0.2f, 30000, 2400, 110.0f);
    speech(talker, 0.15f, 41000, 4 * RT_RATE, 190.0f);
    for (uint32_t i = 0; i < LENGTH; i++) {
        float sum = 0.0f;
        for (uint32_t k = 0; k < ROOM && k + delay <= i; k += 1 + k / 30)
            sum += room[k] * reference[i - delay - k];
        echo[i] = sum;
        noise[i] = noise_level * 1.7320508f * white();
    }
}

static double power(const float *x, uint32_t first, uint32_t last)
{
    double sum = 1e-12;
    for (uint32_t i = first; i < last; i++)
        sum += (double)x[i] * x[i];
    return sum / (last - first);
}

static double db(double a, double b) { return 10.0 * log10(a / b); }

static int judge; /* of all that runs */

static void run(int way, uint32_t comfort, int with_talker)
{
    rt_echo *e = check_memory(rt_echo_size());
    rt_echo_config config = {way, judge, comfort};
    CHECK_EQUAL(rt_echo_init(e, &config), RT_OK);
    for (uint32_t i = 0; i < LENGTH; i++)
        microphone[i] = echo[i] + noise[i] + (with_talker ? talker[i] : 0.0f);
    rt_echo_many(e, reference, microphone, HOPS, out, results);
    CHECK_EQUAL(rt_echo_latency(e), RT_ECHO_DELAY);
    free(e);
}

/* What of the talker came through, 1 for all of it, over hops in which he speaks. */
static double kept(uint32_t first)
{
    double both = 0.0, own = 1e-12;
    for (uint32_t i = first; i + RT_ECHO_DELAY < LENGTH; i++) {
        both += (double)talker[i] * out[i + RT_ECHO_DELAY];
        own += (double)talker[i] * talker[i];
    }
    return both / own;
}

static void an_echo_goes(void)
{
    static const uint32_t delays[] = {0, 2400, 10000};
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        build(delays[i], 1.0f, 0.0003f); /* no room is without */
        run(RT_ECHO_CANCEL, 0, 0);
        CHECK(db(power(microphone, 3 * RT_RATE, LENGTH), power(out, 3 * RT_RATE, LENGTH)) > 28.0);
        CHECK_NEAR(results[HOPS - 1].delay_ms, delays[i] / 24.0, 15.0);
        CHECK(results[HOPS - 1].erle_db > 15.0f && results[HOPS - 1].converged);
    }
}

static void a_talker_stays(void)
{
    build(2400, 1.0f, 0.0003f);
    run(RT_ECHO_CANCEL, 0, 1);
    CHECK(kept(4 * RT_RATE) > 0.8); /* the network knows people, and would not take this for one: tests/audio/test_echo.py has a voice */
    uint32_t heard = 0, spoken = 0;
    for (uint32_t n = 400; n < HOPS; n++)
        if (power(talker, n * RT_HOP, (n + 1) * RT_HOP) > 1e-4) {
            spoken++;
            heard += results[n].open;
        }
    CHECK(heard > 0.9 * spoken);
    build(2400, 0.0f, 0.001f); /* a headset: the loudspeaker plays, nothing of it is heard */
    run(RT_ECHO_CANCEL, 0, 1);
    CHECK(kept(4 * RT_RATE) > 0.8);
    CHECK(results[HOPS - 1].delay_ms == -1.0f && results[HOPS - 1].converged);
}

static void without_a_reference_all_comes_through(void)
{
    build(2400, 1.0f, 0.001f);
    memset(reference, 0, sizeof reference);
    run(RT_ECHO_CANCEL, 1, 1);
    for (uint32_t i = 0; i + RT_ECHO_DELAY < LENGTH; i++)
        CHECK_NEAR(out[i + RT_ECHO_DELAY], microphone[i], 1e-5);
    CHECK(!results[HOPS - 1].playing && !results[HOPS - 1].converged);
}

/* In place of the echo stands the room's noise, at its level. */
static void noise_is_the_rooms(void)
{
    build(2400, 1.0f, 0.003f);
    run(RT_ECHO_CANCEL, 1, 0);
    CHECK_NEAR(db(power(out, 3 * RT_RATE, LENGTH), 0.003 * 0.003), 0.0, judge == RT_ECHO_BY_NET ? 1.5 : 4.0);
    CHECK_NEAR(results[HOPS - 1].noise_db, -50.5, judge == RT_ECHO_BY_NET ? 1.5 : 4.0);
    run(RT_ECHO_CANCEL, 0, 0);
    CHECK(db(power(out, 3 * RT_RATE, LENGTH), 0.003 * 0.003) < -10.0); /* and none where it is not wanted */
}

static void other_ways(void)
{
    build(2400, 1.0f, 0.0f);
    run(RT_ECHO_LINEAR, 0, 1);
    CHECK(kept(4 * RT_RATE) > 0.95);
    run(RT_ECHO_LINEAR, 0, 0);
    double linear = db(power(microphone, 3 * RT_RATE, LENGTH), power(out, 3 * RT_RATE, LENGTH));
    CHECK(linear > 15.0 && linear < 40.0);
    run(RT_ECHO_HALF_DUPLEX, 0, 1);
    for (uint32_t n = 0; n < HOPS; n++)
        if (results[n].playing)
            CHECK(power(out, n * RT_HOP + RT_ECHO_DELAY, (n + 1) * RT_HOP) <= 1e-3 * power(microphone, 0, LENGTH));
    rt_echo *e = check_memory(rt_echo_size());
    rt_echo_config wrong[] = {{-1, 0, 0}, {3, 0, 0}, {0, -1, 0}, {0, 2, 0}, {0, 0, 2}}, right = {RT_ECHO_LINEAR, 0, 1};
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(rt_echo_init(e, &wrong[i]), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_echo_init(e, &right), RT_OK);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(rt_echo_set(e, &wrong[i]), RT_BAD_ARGUMENT);
    CHECK_EQUAL(e->config.way, RT_ECHO_LINEAR);
    free(e);
}

static void a_copy_runs_on_and_a_reset_one_is_new(void)
{
    build(2400, 1.0f, 0.001f);
    rt_echo *e = check_memory(rt_echo_size()), *copy = check_memory(rt_echo_size());
    rt_echo_config config = {RT_ECHO_CANCEL, judge, 1};
    float one[RT_HOP], two[RT_HOP];
    rt_echo_init(e, &config);
    for (uint32_t i = 0; i < 4 * RT_RATE; i += RT_HOP) {
        memcpy(one, echo + i, sizeof one);
        rt_echo_process(e, reference + i, one, one, NULL);
        memcpy(microphone + i, one, sizeof one);
    }
    memcpy(copy, e, rt_echo_size());
    for (uint32_t i = 4 * RT_RATE; i < 5 * RT_RATE; i += RT_HOP) {
        rt_echo_process(e, reference + i, echo + i, one, NULL);
        rt_echo_process(copy, reference + i, echo + i, two, NULL);
        CHECK(memcmp(one, two, sizeof one) == 0);
    }
    rt_echo_reset(e);
    for (uint32_t i = 0; i < 4 * RT_RATE; i += RT_HOP) {
        rt_echo_process(e, reference + i, echo + i, one, NULL);
        CHECK(memcmp(microphone + i, one, sizeof one) == 0);
    }
    free(e);
    free(copy);
}

static void survives_what_is_no_sound(void)
{
    build(2400, 1.0f, 0.001f);
    for (uint32_t i = RT_RATE; i < RT_RATE + 500; i++) {
        reference[i] = i % 2 ? NAN : INFINITY;
        echo[i] = i % 3 ? -INFINITY : NAN;
    }
    run(RT_ECHO_CANCEL, 1, 1);
    for (uint32_t i = 0; i < LENGTH; i++)
        CHECK(out[i] == out[i] && fabsf(out[i]) < 50.0f);
    CHECK(judge == RT_ECHO_BY_NET || kept(5 * RT_RATE) > 0.7); /* it has got over it */
    for (uint32_t n = 0; n < HOPS; n++)
        CHECK(results[n].near >= 0.0f && results[n].near <= 1.0f && results[n].erle_db >= 0.0f && results[n].noise_db >= -120.0f);
}

int main(void)
{
    for (judge = RT_ECHO_BY_NET; judge <= RT_ECHO_BY_RULE; judge++) {
        an_echo_goes();
        noise_is_the_rooms();
        survives_what_is_no_sound();
    }
    judge = RT_ECHO_BY_RULE;
    a_talker_stays();
    judge = RT_ECHO_BY_NET;
    without_a_reference_all_comes_through();
    other_ways();
    a_copy_runs_on_and_a_reset_one_is_new();
    return CHECK_DONE();
}
