/* Both halves in one callback: barge-in, coughs, mute, the limiter, events, full rings, the wake-up, refusals. */
#include "duplex_bench.h"

#include <fcntl.h>
#include <unistd.h>

static void a_barge_in(void)
{
    rt_duplex_config config = usual();
    room *r = enter(&config, 240000);
    hop(r, 0);
    CHECK(saw(r, RT_EVENT_PLAYING, 1));
    for (int i = 1; i < 20; i++)
        hop(r, 0);
    CHECK_NEAR(peak(r), 0.5, 0.001);
    hop(r, 1);
    CHECK(saw(r, RT_EVENT_DUCKED, 1));
    double undisturbed = 0.5 * sin(2.0 * PI * (20 * RT_HOP + RT_HOP - 1) / 80.0);
    CHECK_NEAR(r->out[RT_HOP - 1] / undisturbed, 0.25, 0.01); /* down within this very block */
    CHECK(r->records[0].flags == RT_RECORD_SILENCE && is_silent_record(&r->records[0]));
    for (int i = 1; i < 9; i++) {
        hop(r, 1);
        CHECK_EQUAL(saw(r, RT_EVENT_SPEECH_STARTED, 0), i == 1);
        CHECK_NEAR(peak(r), 0.125, 0.001);
        CHECK(r->record_count == 1 && r->records[0].flags == RT_RECORD_SILENCE);
    }
    hop(r, 1);
    CHECK(saw(r, RT_EVENT_CONFIRMED, 1) && saw(r, RT_EVENT_FADING, 1));
    CHECK_EQUAL(r->record_count, 9); /* what was held goes out at once */
    CHECK(r->records[0].flags == RT_RECORD_LATE && r->records[0].position == 20 * RT_HOP && !is_silent_record(&r->records[0]));
    CHECK(peak(r) > 0.06f && peak(r) <= 0.126f);
    hop(r, 1); /* the second hop of the fade */
    CHECK(peak(r) > 0.0f && peak(r) < 0.064f && r->out[RT_HOP - 1] < 1e-4f);
    CHECK(saw(r, RT_EVENT_SILENT, 1));
    int16_t more[2400] = {1};
    for (int i = 0; i < 200; i++) {
        rt_playout_push(rt_duplex_playout(r->d), 1, 1, more, 2400); /* the loop is asleep */
        hop(r, 1);
        CHECK(peak(r) == 0.0f);
    }
    rt_playout_item row;
    CHECK_EQUAL(rt_playout_read_item(rt_duplex_playout(r->d), 1, &row), RT_OK);
    CHECK_EQUAL(row.played, 29 * RT_HOP);
    CHECK_EQUAL(row.faded, 2 * RT_HOP);
    CHECK_EQUAL(row.queued, row.played + row.faded + row.discarded);
    rt_capture_stats stats;
    rt_capture_read_stats(r->d, &stats);
    CHECK_EQUAL(stats.gate.sound_hops, stats.hops); /* nothing of what was said is missing */
    leave(r);
}

static void a_cough(void)
{
    rt_duplex_config config = usual();
    room *r = enter(&config, 240000);
    for (int i = 0; i < 20; i++)
        hop(r, 0);
    for (int i = 0; i < 4; i++)
        hop(r, 1);
    CHECK_NEAR(peak(r), 0.125, 0.001);
    int restored = 0;
    for (int i = 0; i < 40 && !restored; i++) {
        hop(r, 0);
        restored = saw(r, RT_EVENT_RESTORED, 1);
        CHECK(r->record_count == 1 && (restored || r->records[0].flags == RT_RECORD_SILENCE));
    }
    CHECK(restored);
    hop(r, 0);
    CHECK_NEAR(peak(r), 0.5, 0.001);
    rt_playout_item row;
    rt_playout_read_item(rt_duplex_playout(r->d), 1, &row);
    CHECK(row.faded == 0 && row.played == r->hop * RT_HOP);
    rt_capture_stats stats;
    rt_capture_read_stats(r->d, &stats);
    CHECK(stats.gate.held_hops >= 4 && stats.gate.sound_hops + stats.gate.held_hops == stats.hops);
    leave(r);
}

static void a_reply_that_ends_under_the_duck(void)
{
    rt_duplex_config config = usual();
    room *r = enter(&config, 2400);
    rt_playout_complete(rt_duplex_playout(r->d), 1);
    for (int i = 0; i < 7; i++)
        hop(r, 0);
    int released = 0;
    for (int i = 0; i < 8; i++) {
        hop(r, 1);
        released |= saw(r, RT_EVENT_RELEASED, 0);
        CHECK(!saw(r, RT_EVENT_CONFIRMED, 0) && !saw(r, RT_EVENT_FADING, 0));
    }
    CHECK(released);
    rt_capture_stats stats;
    rt_capture_read_stats(r->d, &stats);
    CHECK_EQUAL(stats.gate.sound_hops, stats.hops);
    rt_playout_open(rt_duplex_playout(r->d), 2);
    int16_t *reply = tone(240, 0.5);
    rt_playout_push(rt_duplex_playout(r->d), 2, 2, reply, 240);
    for (int i = 0; i < 30; i++)
        hop(r, 0);
    free(reply);
    leave(r);
}

static void mute_is_heard_as_silence(void)
{
    rt_duplex_config config = usual();
    room *r = enter(&config, 240000);
    rt_duplex_set_mute(r->d, 1, 0);
    for (int i = 0; i < 40; i++) {
        hop(r, 1);
        CHECK(r->record_count == 1 && is_silent_record(&r->records[0]) && r->records[0].flags == 0);
        CHECK(!saw(r, RT_EVENT_DUCKED, 1));
    }
    rt_duplex_set_mute(r->d, 0, 0);
    hop(r, 1);
    CHECK(saw(r, RT_EVENT_DUCKED, 1));
    leave(r);
}

/* Four times too loud is held at full scale without a jump, and the gain comes back when the volume does. */
static void limiter_holds_and_lets_go(void)
{
    rt_duplex_config config = usual();
    room *r = enter(&config, 53); /* so that hops begin anywhere in the tone, which follows */
    int16_t *reply = tone(120000, 0.5);
    rt_playout_push(rt_duplex_playout(r->d), 1, 1, reply + 53, 119000);
    rt_playback_stats stats;
    float last = 0.0f;
    hop(r, 0);
    rt_duplex_set_volume(r->d, 4.0f);
    for (int i = 0; i < 300; i++) {
        if (i == 100)
            rt_duplex_set_volume(r->d, 1.0f);
        last = r->out[RT_HOP - 1];
        hop(r, 0);
        for (int k = 0; k < RT_HOP; last = r->out[k++])
            CHECK_NEAR(r->out[k], last, (i == 0 ? 2.0 : 1.1) * 2.0 * PI / 80.0); /* the first is clamped as the gain falls */
        CHECK(peak(r) <= 1.0f);
        if (i > 2 && i < 100)
            CHECK(peak(r) > 0.9f);
        rt_playback_read_stats(r->d, &stats);
        CHECK(i != 0 || stats.limited_hops == 1);
    }
    CHECK_NEAR(peak(r), 0.5, 0.0001); /* untouched again */
    uint64_t acted = stats.limited_hops;
    CHECK(acted >= 100 && acted < 150);
    hop(r, 0);
    rt_playback_read_stats(r->d, &stats);
    CHECK_EQUAL(stats.limited_hops, acted);
    free(reply);
    leave(r);
}

static void short_items_have_their_events(void)
{
    rt_duplex_config config = usual();
    room *r = enter(&config, 100);
    hop(r, 0); /* begins and runs dry in one hop */
    CHECK(saw(r, RT_EVENT_PLAYING, 1) && saw(r, RT_EVENT_STARVED, 1));
    CHECK(r->events[0].kind == RT_EVENT_PLAYING);
    rt_playout_complete(rt_duplex_playout(r->d), 1);
    hop(r, 0);
    CHECK(saw(r, RT_EVENT_SILENT, 1));
    int16_t samples[100] = {0};
    rt_playout_push(rt_duplex_playout(r->d), 2, 1, samples, 100);
    rt_playout_complete(rt_duplex_playout(r->d), 2);
    hop(r, 0); /* begins and ends in one hop */
    CHECK(r->event_count == 2 && r->events[0].kind == RT_EVENT_PLAYING && r->events[1].kind == RT_EVENT_SILENT);
    CHECK(r->events[0].value == 2 && r->events[1].value == 2);
    leave(r);
}

static void full_rings_count(void)
{
    rt_duplex_config config = usual();
    rt_duplex *d = make(&config);
    float in[RT_HOP] = {0};
    for (int i = 0; i < 400; i++)
        rt_capture_process(d, in, RT_HOP);
    rt_capture_stats stats;
    rt_capture_read_stats(d, &stats);
    CHECK_EQUAL(stats.records, 256); /* 2 s, rounded up to a power of two */
    CHECK_EQUAL(stats.lost_records, 400 - 256);
    static rt_record records[300];
    CHECK_EQUAL(rt_duplex_read_records(d, records, 300), 256);
    CHECK_EQUAL(records[255].position, 255 * RT_HOP); /* the newest were lost */
    rt_capture_process(d, in, RT_HOP);
    CHECK_EQUAL(rt_duplex_read_records(d, records, 300), 1);
    CHECK_EQUAL(records[0].position, 400 * RT_HOP);
    rt_playout *playout = rt_duplex_playout(d);
    rt_playout_open(playout, 1);
    int16_t samples[10] = {0};
    for (uint32_t item = 1; item <= 200; item++) { /* two events each */
        rt_playout_push(playout, item, 1, samples, 10);
        rt_playout_complete(playout, item);
        rt_playback_process(d, in, RT_HOP);
        CHECK_EQUAL(rt_playout_retire(playout, item), RT_OK);
    }
    rt_playback_stats played;
    rt_playback_read_stats(d, &played);
    CHECK_EQUAL(played.lost_events, 400 - 256);
    static rt_event events[300];
    CHECK_EQUAL(rt_duplex_read_events(d, events, 300), 256);
    for (int i = 0; i < 256; i++)
        CHECK(events[i].value == (uint32_t)i / 2 + 1 && events[i].kind == (i % 2 ? RT_EVENT_SILENT : RT_EVENT_PLAYING));
    free(d);
}

static void armed_once_wakes_once(void)
{
    int ends[2];
    CHECK_EQUAL(pipe(ends), 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    rt_duplex_config config = usual();
    config.wakeup_descriptor = ends[1];
    config.wakeup_records = 3;
    rt_duplex *d = make(&config);
    float in[RT_HOP] = {0};
    char bytes[16];
    for (int i = 0; i < 10; i++)
        rt_capture_process(d, in, RT_HOP);
    CHECK_EQUAL(read(ends[0], bytes, 16), -1); /* not armed */
    rt_record records[16];
    rt_duplex_read_records(d, records, 16);
    rt_duplex_arm(d);
    rt_capture_process(d, in, RT_HOP);
    rt_capture_process(d, in, RT_HOP);
    CHECK_EQUAL(read(ends[0], bytes, 16), -1); /* too few */
    for (int i = 0; i < 10; i++)
        rt_capture_process(d, in, RT_HOP);
    CHECK_EQUAL(read(ends[0], bytes, 16), 1);
    rt_duplex_arm(d);
    rt_capture_process(d, in, RT_HOP);
    CHECK_EQUAL(read(ends[0], bytes, 16), 1);
    rt_duplex_read_records(d, records, 16);
    rt_playout_open(rt_duplex_playout(d), 1);
    int16_t samples[10] = {0};
    rt_playout_push(rt_duplex_playout(d), 1, 1, samples, 10);
    rt_duplex_arm(d);
    rt_playback_process(d, in, RT_HOP); /* an event wakes at once */
    rt_playback_process(d, in, RT_HOP);
    CHECK_EQUAL(read(ends[0], bytes, 16), 1);
    close(ends[0]);
    close(ends[1]);
    free(d);
}

static void bad_arguments(void)
{
    rt_duplex_config good = usual(), config;
    rt_duplex *d = make(&good);
#define REFUSED(field, value)                                                                                                             \
    config = good, config.field = (value);                                                                                                \
    CHECK_EQUAL(rt_duplex_init(d, &config), RT_BAD_ARGUMENT)
    REFUSED(capture_rate_hz, 7999);
    REFUSED(playback_rate_hz, 192001);
    REFUSED(capture_channels, 0);
    REFUSED(capture_channels, 33);
    REFUSED(playback_channels, 0);
    REFUSED(playback_channels, 33);
    REFUSED(capture_channel, 1);
    REFUSED(sample, 2);
    REFUSED(max_block_frames, 0);
    REFUSED(max_block_frames, 96001);
    REFUSED(send_format, 3);
    REFUSED(records_ms, 1999);
    REFUSED(records_ms, 60001);
    REFUSED(speech_threshold, NAN);
    REFUSED(speech_threshold, 1.1f);
    REFUSED(speech_release, NAN);
    REFUSED(speech_release, 0.6f);
    REFUSED(speech_ms, 9);
    REFUSED(speech_ms, 1001);
    REFUSED(pause_ms, 9);
    REFUSED(pause_ms, 10001);
    REFUSED(duck_gain, -0.1f);
    REFUSED(duck_gain, NAN);
    REFUSED(wakeup_records, 0);
    REFUSED(wakeup_records, 101);
    REFUSED(gate.mode, 3);
    REFUSED(interrupt.confirm_ms, 0);
    REFUSED(playout.fade_ms, 0);
#undef REFUSED
    CHECK_EQUAL(rt_duplex_init(d, &good), RT_OK);
    CHECK_EQUAL(rt_duplex_set_volume(d, -0.1f), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_duplex_set_volume(d, 4.1f), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_duplex_set_volume(d, NAN), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_duplex_set_volume(d, 0.0f), RT_OK);
    free(d);
}

/* confirm_ms: 10. The onset ducks and confirms, and the fade begins in the same block. */
static void an_onset_may_be_enough(void)
{
    rt_duplex_config config = usual();
    config.interrupt.confirm_ms = 10;
    room *r = enter(&config, 240000);
    for (int i = 0; i < 20; i++)
        hop(r, 0);
    hop(r, 1);
    CHECK(saw(r, RT_EVENT_DUCKED, 1) && saw(r, RT_EVENT_CONFIRMED, 1) && saw(r, RT_EVENT_FADING, 1));
    CHECK_EQUAL(r->event_count, 3);
    CHECK(r->record_count == 1 && r->records[0].flags == 0 && !is_silent_record(&r->records[0])); /* nothing is held */
    hop(r, 1);
    hop(r, 1);
    CHECK(peak(r) == 0.0f);
    leave(r);
}

int main(void)
{
    a_barge_in();
    an_onset_may_be_enough();
    a_cough();
    a_reply_that_ends_under_the_duck();
    mute_is_heard_as_silence();
    limiter_holds_and_lets_go();
    short_items_have_their_events();
    full_rings_count();
    armed_once_wakes_once();
    bad_arguments();
    return CHECK_DONE();
}
