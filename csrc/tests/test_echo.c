/* The delay is found, a jump of it followed, and silence says nothing; the filter takes an echo away, leaves a talker, and goes on after a
 * jump. The room is made here: two seconds of it are quick to compute. */
#include "check.h"
#include "echo_delay.h"
#include "echo_filter.h"

enum { SECONDS = 12, LENGTH = SECONDS * RT_RATE, ROOM = 1600 };

static unsigned long long seed = 11;
static float reference[LENGTH], echo[LENGTH], talker[LENGTH], microphone[LENGTH], room[ROOM];

static float noise(void) { return (float)(check_random(&seed) % 20001) / 10000.0f - 1.0f; }

/* Noise with the spectrum and the pauses of speech, more or less. */
static void speech(float *out, float level, uint32_t period, uint32_t first)
{
    float a = 0.0f, b = 0.0f;
    for (uint32_t i = 0; i < LENGTH; i++) {
        a = 0.9f * a + 0.1f * noise();
        b = 0.7f * b + 0.3f * a;
        out[i] = i >= first && i % period < period * 3 / 4 ? level * 5.0f * b : 0.0f;
    }
}

/* What a room of 67 ms makes of the reference, `delay` samples later; from `from` on. */
static void sounds_in_room(uint32_t delay, uint32_t from)
{
    for (uint32_t i = from; i < LENGTH; i++) {
        float sum = 0.0f;
        for (uint32_t k = 0; k < ROOM && k + delay <= i; k += 1 + k / 40)
            sum += room[k] * reference[i - delay - k];
        echo[i] = sum;
    }
}

static void build(uint32_t delay)
{
    seed = 11;
    for (uint32_t k = 0; k < ROOM; k++)
        room[k] = 0.5f * noise() * expf(-(float)k / 300.0f);
    speech(reference, 0.2f, 30000, 2400);
    speech(talker, 0.1f, 41000, 5 * RT_RATE);
    sounds_in_room(delay, 0);
}

static double power(const float *x, uint32_t first, uint32_t last)
{
    double sum = 1e-12;
    for (uint32_t i = first; i < last; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

static void finds_the_delay(void)
{
    static const uint32_t delays[] = {0, 1000, 2400, 6000, 11900};
    for (size_t n = 0; n < sizeof delays / sizeof *delays; n++) {
        rt_echo_delay *d = check_memory(rt_echo_delay_size());
        CHECK_EQUAL(rt_echo_delay_init(d), RT_OK);
        build(delays[n]);
        uint32_t found = 0, moves = 0;
        for (uint32_t i = 0; i < 4 * RT_RATE; i += RT_HOP) {
            moves += (uint32_t)rt_echo_delay_process(d, echo + i, reference + i);
            found = found ? found : rt_echo_delay_lag(d) >= 0 ? i : 0;
        }
        CHECK_NEAR(rt_echo_delay_lag(d), delays[n] / RT_HOP, 1);
        CHECK(found > 0 && found < delays[n] + 2400 + RT_RATE / 2);
        CHECK(moves <= 2);
        CHECK(rt_echo_delay_sure(d) > 0.03f);
        free(d);
    }
}

static void follows_a_jump_and_nothing_else(void)
{
    rt_echo_delay *d = check_memory(rt_echo_delay_size());
    rt_echo_delay_init(d);
    build(2400);
    sounds_in_room(4800, 6 * RT_RATE);
    uint32_t at = 0, moves = 0;
    for (uint32_t i = 0; i < LENGTH; i += RT_HOP)
        if (rt_echo_delay_process(d, echo + i, reference + i) && i > RT_RATE) {
            moves++;
            at = i;
        }
    CHECK_EQUAL(moves, 1);
    CHECK_NEAR(rt_echo_delay_jump(d), 2400, 2);
    CHECK(at > 6 * RT_RATE && at < 6 * RT_RATE + 3 * RT_RATE / 10 + 30000 / 4);
    rt_echo_delay_reset(d);
    for (uint32_t i = 0; i < LENGTH; i += RT_HOP) /* a talker, and a loudspeaker in another room */
        CHECK(!rt_echo_delay_process(d, talker + i, reference + i));
    CHECK_EQUAL(rt_echo_delay_lag(d), -1);
    free(d);
}

static float left[LENGTH], taken[LENGTH];

static void filter(int hops)
{
    rt_echo_filter *f = check_memory(rt_echo_filter_size());
    CHECK_EQUAL(rt_echo_filter_init(f), RT_OK);
    rt_echo_filter_move(f, hops);
    for (uint32_t i = 0; i < LENGTH; i += RT_HOP) {
        rt_echo_filter_process(f, reference + i, microphone + i, left + i, taken + i);
        for (uint32_t k = 0; k < RT_HOP; k++)
            CHECK_NEAR(left[i + k] + taken[i + k], microphone[i + k], 1e-6);
    }
    free(f);
}

/* dB by which the echo is less, over the last four seconds; the talker's sound counts as none of it. */
static double gained(void)
{
    for (uint32_t i = 0; i < LENGTH; i++)
        taken[i] = echo[i] - taken[i];
    return 10 * log10(power(echo, 8 * RT_RATE, LENGTH) / power(taken, 8 * RT_RATE, LENGTH));
}

static void takes_the_echo_away(void)
{
    build(2400);
    memcpy(microphone, echo, sizeof echo);
    filter(7);
    CHECK(gained() > 24);
    for (uint32_t i = 0; i < LENGTH; i++)
        microphone[i] = echo[i] + talker[i];
    filter(7);
    CHECK(gained() > 16); /* both talk, and it stays converged */
}

static void leaves_what_is_no_echo(void)
{
    build(2400);
    memcpy(microphone, talker, sizeof talker);
    filter(0); /* the loudspeaker plays, nothing of it is heard */
    CHECK(10 * log10(power(left, 0, LENGTH) / power(talker, 0, LENGTH)) > -0.3);
    memset(reference, 0, sizeof reference);
    filter(0);
    CHECK(memcmp(left, microphone, sizeof left) == 0);
}

static void goes_on_after_a_jump(void)
{
    build(2400);
    memcpy(microphone, echo, sizeof echo);
    sounds_in_room(4800, 4 * RT_RATE);
    memcpy(microphone, echo, sizeof echo);
    rt_echo_filter *f = check_memory(rt_echo_filter_size());
    rt_echo_filter_init(f);
    for (uint32_t i = 0; i < LENGTH; i += RT_HOP) {
        rt_echo_filter_move(f, i < 4 * RT_RATE + 4800 ? 7 : 17);
        rt_echo_filter_process(f, reference + i, microphone + i, left + i, taken + i);
    }
    CHECK(gained() > 24);
    free(f);
}

/* Clocks drifted, the room is the same: what was learnt is not lost for a moment. */
static void goes_on_while_it_shifts(void)
{
    build(2400);
    memcpy(microphone, echo, sizeof echo);
    rt_echo_filter *f = check_memory(rt_echo_filter_size());
    rt_echo_filter_init(f);
    rt_echo_filter_move(f, 7);
    for (uint32_t i = 0; i < LENGTH; i += RT_HOP) {
        if (i >= 8 * RT_RATE && i % 4800 == 0)
            rt_echo_filter_shift(f, i % 9600 == 0 ? 1 : -1);
        rt_echo_filter_process(f, reference + i, microphone + i, left + i, taken + i);
    }
    CHECK(gained() > 24);
    uint32_t lag = rt_echo_filter_lag(f);
    rt_echo_filter_shift(f, 60); /* farther than there is: nothing */
    rt_echo_filter_shift(f, -60);
    CHECK_EQUAL(rt_echo_filter_lag(f), lag);
    rt_echo_filter_jump(f, INT32_MIN);
    CHECK_EQUAL(rt_echo_filter_lag(f), 0);
    rt_echo_filter_jump(f, INT32_MAX);
    CHECK_EQUAL(rt_echo_filter_lag(f), RT_ECHO_FARTHEST * RT_HOP);
    free(f);
}

static void survives_what_is_no_sound(void)
{
    build(2400);
    memcpy(microphone, echo, sizeof echo);
    for (uint32_t i = RT_RATE; i < RT_RATE + 100; i++) {
        reference[i] = i % 2 ? NAN : INFINITY;
        microphone[i] = i % 3 ? -INFINITY : NAN;
    }
    rt_echo_filter *f = check_memory(rt_echo_filter_size());
    rt_echo_delay *d = check_memory(rt_echo_delay_size());
    rt_echo_filter_init(f);
    rt_echo_delay_init(d);
    rt_echo_filter_move(f, 1000);
    rt_echo_filter_move(f, -1000);
    for (uint32_t i = 0; i < LENGTH; i += RT_HOP) {
        rt_echo_delay_process(d, microphone + i, reference + i);
        rt_echo_filter_process(f, reference + i, microphone + i, left + i, taken + i);
        for (uint32_t k = 0; k < RT_HOP; k++)
            CHECK(left[i + k] == left[i + k] && fabsf(left[i + k]) < 100.0f);
    }
    CHECK(10 * log10(power(echo, 8 * RT_RATE, LENGTH) / power(left, 8 * RT_RATE, LENGTH)) > 10); /* it has got over it */
    free(f);
    free(d);
}

int main(void)
{
    finds_the_delay();
    follows_a_jump_and_nothing_else();
    takes_the_echo_away();
    leaves_what_is_no_echo();
    goes_on_after_a_jump();
    goes_on_while_it_shifts();
    survives_what_is_no_sound();
    return CHECK_DONE();
}
