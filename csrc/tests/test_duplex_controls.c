/* What the loop asks of both halves: mute to the sample, hold, the ramp's length, when the microphone's sound is settled. */
#include "duplex_bench.h"

static float captured[64 * RT_HOP];

/* So many hops of a constant, and what was sent of them. */
static uint32_t capture(rt_duplex *d, uint32_t hops)
{
    static rt_record records[64];
    float in[RT_HOP];
    for (int i = 0; i < RT_HOP; i++)
        in[i] = 0.001f;
    for (uint32_t h = 0; h < hops; h++)
        rt_capture_process(d, in, RT_HOP);
    uint32_t n = rt_duplex_read_records(d, records, 64);
    for (uint32_t k = 0; k < n; k++)
        for (int i = 0; i < RT_HOP; i++) {
            int16_t x;
            memcpy(&x, records[k].payload + 2 * i, 2);
            captured[k * RT_HOP + i] = x ? 1.0f : 0.0f;
        }
    return n;
}

static void mute_is_exact_to_the_sample(void)
{
    for (uint64_t at = 0; at < 3 * RT_HOP; at += 37) {
        rt_duplex_config config = usual();
        rt_duplex *d = make(&config);
        CHECK_EQUAL(capture(d, 2), 2);
        uint64_t on = rt_capture_position(d) + at;
        rt_duplex_set_mute(d, 1, on);
        CHECK_EQUAL(capture(d, 10), 10);
        for (uint64_t i = 0; i < 10 * RT_HOP; i++)
            CHECK(captured[i] == (i < at ? 1.0f : 0.0f));
        uint64_t off = rt_capture_position(d) + at;
        rt_duplex_set_mute(d, 0, off);
        CHECK_EQUAL(capture(d, 10), 10);
        for (uint64_t i = 0; i < 10 * RT_HOP; i++)
            CHECK(captured[i] == (i < at ? 0.0f : 1.0f));
        rt_duplex_set_mute(d, 1, 5); /* long past: at once */
        capture(d, 1);
        CHECK(captured[0] == 0.0f);
        rt_duplex_set_mute(d, 0, rt_capture_position(d) + 4800);
        rt_duplex_set_mute(d, 1, 0); /* replaces it */
        capture(d, 40);
        CHECK(captured[39 * RT_HOP] == 0.0f);
        free(d);
    }
}

static void position_is_that_of_the_next_sample(void)
{
    rt_duplex_config config = usual();
    config.capture_rate_hz = 48000;
    rt_duplex *d = make(&config);
    CHECK_EQUAL(rt_capture_position(d), 24); /* 1 ms of filter: what enters now leaves it there */
    float in[1000] = {0};
    rt_capture_process(d, in, 1000);
    CHECK_EQUAL(rt_capture_position(d), 524);
    free(d);
}

static void settled_waits_for_the_decision(void)
{
    rt_duplex_config config = usual();
    room *r = enter(&config, 240000);
    rt_capture_stats stats;
    for (int i = 0; i < 20; i++)
        hop(r, 0);
    rt_capture_read_stats(r->d, &stats);
    CHECK_EQUAL(stats.gate.settled, 20);
    for (int i = 0; i < 9; i++) {
        hop(r, 1);
        rt_capture_read_stats(r->d, &stats);
        CHECK_EQUAL(stats.gate.settled, 20); /* held: it may still be sent */
    }
    hop(r, 1);
    hop(r, 1);
    rt_capture_read_stats(r->d, &stats);
    CHECK_EQUAL(stats.gate.settled, 31);
    leave(r);
}

static void hold_stops_the_queue_and_goes_on(void)
{
    rt_duplex_config config = usual();
    config.ramp_ms = 30;
    config.interrupt.policy = RT_POLICY_NEVER;
    room *r = enter(&config, 240000);
    rt_playout_item row;
    for (int i = 0; i < 10; i++)
        hop(r, 0);
    rt_duplex_set_hold(r->d, 1);
    float last = r->out[RT_HOP - 1];
    for (int i = 0; i < 3; i++) {
        hop(r, 0);
        CHECK_NEAR(r->out[0], last, 0.05);
        last = r->out[RT_HOP - 1];
    }
    rt_playout_read_item(rt_duplex_playout(r->d), 1, &row);
    CHECK_EQUAL(row.played, 13 * RT_HOP);
    for (int i = 0; i < 100; i++) {
        hop(r, 1);
        CHECK(peak(r) == 0.0f);
    }
    rt_playout_read_item(rt_duplex_playout(r->d), 1, &row);
    CHECK_EQUAL(row.played, 13 * RT_HOP); /* nothing is lost, nothing counted as heard */
    rt_duplex_set_hold(r->d, 0);
    for (int i = 0; i < 3; i++)
        hop(r, 0);
    CHECK_NEAR(r->out[RT_HOP - 1], 0.5 * sin(2.0 * PI * (16 * RT_HOP - 1) / 80.0), 0.001); /* where it stopped */
    rt_duplex_set_hold(r->d, 1);
    for (int i = 0; i < 5; i++)
        hop(r, 0);
    rt_playout_interrupt(rt_duplex_playout(r->d), 1);
    for (int i = 0; i < 5; i++) {
        hop(r, 0);
        CHECK(peak(r) == 0.0f);
    }
    rt_playout_read_item(rt_duplex_playout(r->d), 1, &row); /* ended while held, unheard */
    CHECK_EQUAL(row.played + row.faded + row.discarded, row.queued);
    CHECK_EQUAL(row.played, 19 * RT_HOP);
    leave(r);
}

static void the_duck_takes_as_long_as_asked(void)
{
    rt_duplex_config config = usual();
    config.ramp_ms = 40;
    room *r = enter(&config, 240000);
    rt_playback_stats stats;
    for (int i = 0; i < 10; i++)
        hop(r, 0);
    for (int i = 1; i <= 5; i++) {
        hop(r, 1);
        rt_playback_read_stats(r->d, &stats);
        CHECK_NEAR(stats.gain, i < 4 ? 1.0 - 0.75 * i / 4.0 : 0.25, 1e-6);
    }
    config.ramp_ms = 9;
    CHECK_EQUAL(rt_duplex_size(&config), 0);
    config.ramp_ms = 1001;
    CHECK_EQUAL(rt_duplex_size(&config), 0);
    leave(r);
}

int main(void)
{
    mute_is_exact_to_the_sample();
    position_is_that_of_the_next_sample();
    settled_waits_for_the_decision();
    hold_stops_the_queue_and_goes_on();
    the_duck_takes_as_long_as_asked();
    return CHECK_DONE();
}
