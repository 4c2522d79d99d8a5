/* The voice detector: what it calls speech, what it never does, and how its floor follows the room. */
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
    for (int i = 0; i < 300; i++)
        CHECK(rt_vad_process(vad, hop) == 0.0f);
    CHECK_NEAR(rt_vad_floor_db(vad), -65.0, 0.01);
    CHECK(rt_vad_latency(vad) == 2 * RT_HOP);
    free(vad);
}

static void tone_burst_is_found_and_left(void)
{
    rt_vad *vad = make_vad();
    float hop[RT_HOP] = {0};
    for (int i = 0; i < 50; i++)
        rt_vad_process(vad, hop);
    tone(hop, 500.0, 0.1);
    CHECK(rt_vad_process(vad, hop) > 0.9f); /* in its very first hop */
    for (int i = 0; i < 30; i++) {
        tone(hop, 500.0, 0.1);
        CHECK(rt_vad_process(vad, hop) > 0.9f);
    }
    memset(hop, 0, sizeof hop);
    rt_vad_process(vad, hop);
    rt_vad_process(vad, hop);
    for (int i = 0; i < 100; i++)
        CHECK(rt_vad_process(vad, hop) == 0.0f);
    free(vad);
}

static void speech_in_the_first_hop(void)
{
    rt_vad *vad = make_vad();
    float hop[RT_HOP];
    tone(hop, 500.0, 0.05);
    CHECK(rt_vad_process(vad, hop) > 0.5f);
    free(vad);
}

/* A balanced decision 9 dB above the floor, with the stated slope. */
static void scores_follow_the_header(void)
{
    static const struct { double above_db, wanted; } promises[] = {{5.0, 0.06}, {9.0, 0.5}, {13.0, 0.94}};
    for (int k = 0; k < 3; k++) {
        rt_vad *vad = make_vad();
        float hop[RT_HOP], probability = 0.0f;
        double amplitude = 1e-2; /* -43 dBFS */
        for (int i = 0; i < 200; i++) {
            tone(hop, 1000.0, amplitude);
            rt_vad_process(vad, hop);
        }
        CHECK_NEAR(rt_vad_floor_db(vad), -43.0, 0.3);
        for (int i = 0; i < 3; i++) {
            tone(hop, 1000.0, amplitude * pow(10.0, promises[k].above_db / 20.0));
            probability = rt_vad_process(vad, hop);
        }
        CHECK_NEAR(probability, promises[k].wanted, 0.06);
        free(vad);
    }
}

static void below_the_level_floor_nothing_is_speech(void)
{
    rt_vad *vad = make_vad();
    float hop[RT_HOP] = {0};
    for (int i = 0; i < 300; i++)
        rt_vad_process(vad, hop);
    for (int i = 0; i < 50; i++) {
        tone(hop, 1000.0, 0.00125); /* -61 dBFS, 4 dB above the lowest floor */
        CHECK(rt_vad_process(vad, hop) == 0.0f);
    }
    for (int i = 0; i < 50; i++) {
        tone(hop, 40.0, 0.02); /* hum, -37 dBFS, below the band */
        CHECK(rt_vad_process(vad, hop) < 0.5f);
    }
    free(vad);
}

static void floor_follows_within_a_second_and_a_half(void)
{
    rt_vad *vad = make_vad();
    float hop[RT_HOP];
    int hops = 0;
    for (int i = 0; i < 100; i++) {
        noise(hop, 0.0005);
        rt_vad_process(vad, hop);
    }
    noise(hop, 0.05);
    CHECK(rt_vad_process(vad, hop) > 0.9f); /* 40 dB louder at once: speech at first, */
    for (; hops < 400; hops++) {
        noise(hop, 0.05);
        if (rt_vad_process(vad, hop) < 0.5f)
            break;
    }
    CHECK(hops >= 130 && hops <= 175); /* the room's own noise after 1.5 s */
    for (int i = 0; i < 200; i++) {
        noise(hop, 0.05);
        CHECK(rt_vad_process(vad, hop) < 0.5f);
    }
    for (int i = 0; i < 10; i++) {
        noise(hop, 0.0005);
        rt_vad_process(vad, hop);
    }
    CHECK(rt_vad_floor_db(vad) < -60.0f); /* down it goes at once */
    free(vad);
}

static void broken_samples_are_forgotten(void)
{
    rt_vad *vad = make_vad();
    float hop[RT_HOP], p;
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
    p = rt_vad_process(vad, hop);
    CHECK(p >= 0.0f && p <= 1.0f);
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = NAN;
    for (int i = 0; i < 100; i++) {
        p = rt_vad_process(vad, hop);
        CHECK(p >= 0.0f && p <= 1.0f);
    }
    CHECK(p == 0.0f);
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = 1e30f;
    p = rt_vad_process(vad, hop);
    CHECK(p >= 0.0f && p <= 1.0f);
    memset(hop, 0, sizeof hop);
    for (int i = 0; i < 50; i++)
        p = rt_vad_process(vad, hop);
    CHECK(p == 0.0f);
    tone(hop, 500.0, 0.1);
    CHECK(rt_vad_process(vad, hop) > 0.9f);
    free(vad);
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

int main(void)
{
    silence_is_zero();
    tone_burst_is_found_and_left();
    speech_in_the_first_hop();
    scores_follow_the_header();
    below_the_level_floor_nothing_is_speech();
    floor_follows_within_a_second_and_a_half();
    broken_samples_are_forgotten();
    a_copy_goes_on_the_same_and_reset_begins_again();
    return CHECK_DONE();
}
