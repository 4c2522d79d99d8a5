/* The voice detector: what it never calls speech, how its floor follows the room, and that it is one stream's alone. That it
 * finds speech, and where, is tested on speech (tests/audio/test_detector.py). */
#include "check.h"
#include "vad.h"

static unsigned long long noise_state;
static double tone_phase;

static rt_vad *make_vad(void)
{
    rt_vad *vad = check_memory(rt_vad_size());
    CHECK_EQUAL(rt_vad_init(vad), RT_OK);
    noise_state = 77;
    tone_phase = 0.0;
    return vad;
}

static void tone(float *hop, double frequency_hz, double amplitude)
{
    for (int i = 0; i < RT_HOP; i++, tone_phase += 2.0 * 3.141592653589793 * frequency_hz / RT_RATE)
        hop[i] = (float)(amplitude * sin(tone_phase));
}

static void noise(float *hop, double amplitude)
{
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = (float)(amplitude * ((double)check_random(&noise_state) / 2147483648.0 - 1.0));
}

static void silence_is_zero(void)
{
    rt_vad *vad = make_vad();
    float hop[RT_HOP] = {0};
    for (int i = 0; i < 300; i++) {
        CHECK(rt_vad_process(vad, hop) == 0.0f);
        CHECK(rt_vad_bridged(vad) == 0.0f);
    }
    CHECK_NEAR(rt_vad_floor_db(vad), -65.0, 0.01);
    CHECK_NEAR(rt_vad_level_db(vad), -100.0, 0.01);
    CHECK(rt_vad_latency(vad) == 2 * RT_HOP);
    free(vad);
}

/* Hops of a second call of noise or tone that are speech, after 0.3 s in which anything new may seem to be. */
static int called_speech(double level, double frequency_hz)
{
    rt_vad *vad = make_vad();
    float hop[RT_HOP];
    int called = 0;
    for (int i = 0; i < 300; i++) {
        if (frequency_hz > 0.0)
            tone(hop, frequency_hz, level);
        else
            noise(hop, level);
        called += rt_vad_process(vad, hop) >= 0.5f && i >= 30;
    }
    free(vad);
    return called;
}

static void noise_and_tones_are_no_speech(void)
{
    for (double level = 0.001; level < 1.0; level *= 5.0) {
        CHECK(called_speech(level, 0.0) == 0);
        CHECK(called_speech(level, 50.0) == 0);
        CHECK(called_speech(level, 440.0) == 0);
        CHECK(called_speech(level, 2500.0) == 0);
    }
}

static void level_and_floor_follow_the_room(void)
{
    rt_vad *vad = make_vad();
    float hop[RT_HOP];
    int hops = 0;
    for (int i = 0; i < 200; i++) {
        tone(hop, 1000.0, 1e-2);
        rt_vad_process(vad, hop);
    }
    CHECK_NEAR(rt_vad_floor_db(vad), -43.0, 0.3);
    CHECK_NEAR(rt_vad_level_db(vad), -43.0, 0.3);
    for (; hops < 400 && rt_vad_floor_db(vad) < -30.0f; hops++) {
        tone(hop, 1000.0, 1e-1);
        rt_vad_process(vad, hop);
    }
    CHECK_NEAR(rt_vad_level_db(vad), -23.0, 0.3);
    CHECK(hops >= 130 && hops <= 175); /* what stays is the room after 1.5 s, */
    for (int i = 0; i < 10; i++) {
        tone(hop, 1000.0, 5e-4);
        rt_vad_process(vad, hop);
    }
    CHECK(rt_vad_floor_db(vad) < -60.0f); /* and down it goes at once */
    free(vad);
}

static void broken_samples_are_forgotten(void)
{
    rt_vad *vad = make_vad();
    float hop[RT_HOP], p = 0.0f;
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
    for (int i = 0; i < 20; i++) {
        p = rt_vad_process(vad, hop);
        CHECK(p >= 0.0f && p <= 1.0f && rt_vad_bridged(vad) >= 0.0f && rt_vad_bridged(vad) <= 1.0f);
        CHECK(isfinite(rt_vad_level_db(vad)) && isfinite(rt_vad_floor_db(vad)));
    }
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = NAN;
    for (int i = 0; i < 10; i++)
        p = rt_vad_process(vad, hop);
    CHECK(p == 0.0f && rt_vad_level_db(vad) < -99.0f);
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = 1e30f;
    p = rt_vad_process(vad, hop);
    CHECK(p >= 0.0f && p <= 1.0f && isfinite(rt_vad_level_db(vad)));
    free(vad);
}

/* Noise that is steady is no foreground however loud; 20 dB more, for a moment, is; 30 dB more counts twice. */
static void who_speaks_up_stands_out(void)
{
    for (int loud = 0; loud < 2; loud++) {
        rt_vad *vad = make_vad();
        float hop[RT_HOP], steady = 0.0f;
        for (int i = 0; i < 400; i++) {
            noise(hop, loud ? 0.1 : 0.002);
            rt_vad_process(vad, hop);
            if (i > 200)
                steady += rt_vad_foreground(vad, 0.4f) / 199.0f;
        }
        CHECK(steady < 0.15f);
        for (int i = 0; i < 5; i++) {
            noise(hop, loud ? 0.3 : 0.006); /* 9.5 dB */
            rt_vad_process(vad, hop);
        }
        CHECK_NEAR(rt_vad_foreground(vad, 0.4f), 0.4, 1e-6);
        for (int i = 0; i < 5; i++) {
            noise(hop, loud ? 4.0 : 0.08); /* 32 dB */
            rt_vad_process(vad, hop);
        }
        CHECK_NEAR(rt_vad_foreground(vad, 0.4f), 0.8, 1e-6);
        CHECK_NEAR(rt_vad_foreground(vad, 0.9f), 1.0, 1e-6);
        CHECK(rt_vad_foreground(vad, 0.0f) == 0.0f);
        free(vad);
    }
}

static void a_copy_goes_on_the_same_and_reset_begins_again(void)
{
    rt_vad *vad = make_vad(), *copy = check_memory(rt_vad_size());
    float hop[RT_HOP], first[40];
    for (int i = 0; i < 40; i++) {
        noise(hop, 0.01 * (1 + i % 7));
        first[i] = rt_vad_process(vad, hop);
    }
    memcpy(copy, vad, rt_vad_size());
    for (int i = 0; i < 400; i++) {
        noise(hop, i % 50 < 20 ? 0.1 : 0.001);
        float a = rt_vad_process(vad, hop), b = rt_vad_process(copy, hop);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
    }
    rt_vad_reset(vad);
    noise_state = 77;
    for (int i = 0; i < 40; i++) {
        noise(hop, 0.01 * (1 + i % 7));
        float again = rt_vad_process(vad, hop);
        CHECK(memcmp(&again, &first[i], sizeof again) == 0);
    }
    free(vad);
    free(copy);
}

static void many_hops_at_once_are_the_same(void)
{
    static float sound[100 * RT_HOP];
    float exact[100], bridged[100];
    rt_vad *vad = make_vad(), *one = make_vad();
    for (int i = 0; i < 100; i++)
        noise(sound + i * RT_HOP, i % 30 < 12 ? 0.2 : 0.002);
    rt_vad_many(vad, sound, 100, exact, bridged);
    for (int i = 0; i < 100; i++) {
        float p = rt_vad_process(one, sound + i * RT_HOP);
        CHECK(p == exact[i] && rt_vad_bridged(one) == bridged[i]);
    }
    free(vad);
    free(one);
}

int main(void)
{
    silence_is_zero();
    noise_and_tones_are_no_speech();
    level_and_floor_follow_the_room();
    broken_samples_are_forgotten();
    who_speaks_up_stands_out();
    a_copy_goes_on_the_same_and_reset_begins_again();
    many_hops_at_once_are_the_same();
    return CHECK_DONE();
}
