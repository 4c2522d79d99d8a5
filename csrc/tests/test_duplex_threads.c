/* The halves on threads of their own, with other blocks and clocks, and a loop that sleeps while late deltas arrive.
 *
 * Under -fsanitize=thread the threads fail when the store of `written` in ring.c is relaxed (tried with gcc 12: three runs of three end
 * in status 66 with 12 to 18 "data race" reports, the reader's memcpy in rt_ring_read). The store of `taken` is left to test_ring.c:
 * here the wake-up's arming orders the loop and the audio threads as well.
 */
#include "duplex_bench.h"

#include <pthread.h>
#include <sched.h>

/* Two devices and a loop. The devices run in audio time kept by the capture side: playback may be at most 20 ms away from where a clock
 * that is `ppm` off would be, so the test neither sleeps nor looks at a clock, and the scheduler still mixes the threads freely. */
typedef struct stage {
    rt_duplex *d;
    uint32_t capture_block, playback_block, capture_frames;
    double ppm;
    int talk_from, talk_until; /* ms of near-end speech */
    _Atomic uint64_t captured, played; /* frames */
    _Atomic uint32_t latched;          /* 1 from the hop in which the interruption was confirmed */
    uint64_t heard_after, silent_from;
} stage;

static const double RATE = 48000.0;

static void *microphone(void *argument)
{
    stage *s = argument;
    float in[MOST_BLOCK];
    for (uint64_t at = 0; at < s->capture_frames; at += s->capture_block) {
        while (at > (double)atomic_load(&s->played) / (1.0 + s->ppm * 1e-6) + RATE * 0.02 + s->playback_block)
            sched_yield();
        for (uint32_t i = 0; i < s->capture_block; i++) {
            double ms = (double)(at + i) * 1000.0 / RATE;
            in[i] = ms >= s->talk_from && ms < s->talk_until ? (float)(0.2 * sin(2.0 * PI * 0.5 * ms)) : 0.0f;
        }
        rt_capture_process(s->d, in, s->capture_block);
        atomic_store(&s->captured, at + s->capture_block);
        if (atomic_load(&s->d->capture.latch) && !atomic_load(&s->latched))
            atomic_store(&s->latched, 1);
    }
    return NULL;
}

static void *loudspeaker(void *argument)
{
    stage *s = argument;
    float out[MOST_BLOCK];
    uint64_t total = (uint64_t)(s->capture_frames * (1.0 + s->ppm * 1e-6));
    /* after the latch is seen: what is resampled already, one hop under way, the fade, the filter's delay */
    uint64_t quiet_after = (uint64_t)(RATE * 0.050);
    for (uint64_t at = 0; at < total; at += s->playback_block) {
        while (at > (double)atomic_load(&s->captured) * (1.0 + s->ppm * 1e-6) + RATE * 0.02 + s->capture_block &&
               atomic_load(&s->captured) < s->capture_frames)
            sched_yield();
        int latched = (int)atomic_load(&s->latched);
        /* no underrun for want of a processor, and after the latch a late delta before every block */
        while (rt_playout_waiting(rt_duplex_playout(s->d)) < (latched ? 2400 : 24000))
            sched_yield();
        if (latched && s->silent_from == 0)
            s->silent_from = at + quiet_after;
        rt_playback_process(s->d, out, s->playback_block);
        for (uint32_t i = 0; i < s->playback_block; i++)
            s->heard_after += s->silent_from && at + i >= s->silent_from && out[i] != 0.0f;
        atomic_store(&s->played, at + s->playback_block);
    }
    atomic_store(&s->played, UINT64_MAX / 4);
    return NULL;
}

static void three_threads(uint32_t capture_block, uint32_t playback_block, double ppm, int frozen)
{
    rt_duplex_config config = usual();
    config.capture_rate_hz = config.playback_rate_hz = (uint32_t)RATE;
    config.pairs_ms = 1000; /* what is played goes across */
    config.two_clocks = 1;
    config.records_ms = frozen ? 4000 : 2000; /* unread while frozen: 2.1 s; else the ring is used again and again */
    rt_duplex *d = make(&config);
    rt_playout *playout = rt_duplex_playout(d);
    stage s = {.d = d, .capture_block = capture_block, .playback_block = playback_block, .ppm = ppm,
               .capture_frames = (uint32_t)RATE * 7 / 2 / capture_block * capture_block, .talk_from = 1000, .talk_until = 3300};
    int16_t *reply = tone(2400, 0.5);
    rt_playout_open(playout, 1);
    rt_playout_push(playout, 1, 1, reply, 2400);
    pthread_t threads[2];
    CHECK_EQUAL(pthread_create(&threads[0], NULL, microphone, &s), 0);
    CHECK_EQUAL(pthread_create(&threads[1], NULL, loudspeaker, &s), 0);
    static rt_record records[512];
    rt_event events[64];
    uint64_t position = 0, hops = 0;
    float beside = 0.0f;
    uint32_t ducked = 0, confirmed = 0, playing = 0;
    for (int over = 0; !over;) {
        over = atomic_load(&s.captured) >= s.capture_frames && atomic_load(&s.played) >= UINT64_MAX / 4;
        /* 3 s of reply in the queue at most; when frozen the loop's reader sleeps, its pusher does not */
        if (rt_playout_waiting(playout) < 72000)
            rt_playout_push(playout, 1, 1, reply, 2400);
        rt_playout_item row;
        rt_playout_stats stats;
        if (rt_playout_read_item(playout, 1, &row) == RT_OK)
            CHECK(row.played + row.faded + row.discarded <= row.queued);
        if (rt_playout_read_stats(playout, &stats) == RT_OK)
            CHECK(stats.played + stats.faded + stats.discarded <= stats.queued && stats.output % RT_HOP == 0);
        rt_capture_stats capture;
        if (rt_capture_read_stats(d, &capture) == RT_OK)
            CHECK(capture.frames % capture_block == 0 && capture.hops == capture.gate.hops);
        rt_playback_stats playback;
        if (rt_playback_read_stats(d, &playback) == RT_OK)
            CHECK(playback.frames % playback_block == 0);
        rt_duplex_arm(d);
        double ms = (double)atomic_load(&s.captured) * 1000.0 / RATE;
        if (frozen && !over && ms > 900.0 && ms < 3000.0) {
            sched_yield();
            continue;
        }
        uint32_t n = rt_duplex_read_records(d, records, 512);
        for (uint32_t i = 0; i < n; i++) {
            hops += !(records[i].flags & RT_RECORD_SILENCE);
            CHECK(records[i].flags & RT_RECORD_SILENCE || records[i].position >= position);
            position = records[i].flags & RT_RECORD_SILENCE ? position : records[i].position + RT_HOP;
        }
        static rt_pair pair;
        while (rt_duplex_read_pairs(d, &pair, 1)) {
            CHECK(pair.position % RT_HOP == 0);
            for (int i = 0; i < RT_HOP; i++)
                beside = fmaxf(beside, fabsf(pair.reference[i]));
        }
        n = rt_duplex_read_events(d, events, 64);
        for (uint32_t i = 0; i < n; i++) {
            ducked += events[i].kind == RT_EVENT_DUCKED;
            confirmed += events[i].kind == RT_EVENT_CONFIRMED;
            playing += events[i].kind == RT_EVENT_PLAYING;
        }
        if (n == 0)
            sched_yield();
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK_NEAR(beside, 0.5, 0.03); /* the reply, as loud as it was played */
    CHECK(playing >= 1 && confirmed == 1 && ducked == 1);
    CHECK(s.silent_from > 0);
    CHECK_EQUAL(s.heard_after, 0); /* not one sample, however much came late */
    float rest[MOST_BLOCK];
    for (int i = 0; i < 100; i++) /* what is still queued is discarded */
        rt_playback_process(d, rest, 480);
    rt_playout_item row;
    CHECK_EQUAL(rt_playout_read_item(playout, 1, &row), RT_OK);
    CHECK_EQUAL(row.played + row.faded + row.discarded, row.queued);
    CHECK(row.faded == 480 && row.discarded > 240000);
    CHECK_NEAR(row.played, 24000 * 1.1, 24000 * 0.1); /* talked over at 1 s, confirmed 0.1 s later */
    rt_capture_stats capture;
    CHECK_EQUAL(rt_capture_read_stats(d, &capture), RT_OK);
    CHECK_EQUAL(capture.lost_records, 0);
    CHECK_EQUAL(capture.lost_events, 0);
    CHECK_EQUAL(hops, capture.hops); /* all of the speech was sent, once */
    free(reply);
    free(d);
}

/* All that the capture half may do with the sound, over a reference that comes from another thread. */
static void *hears(void *argument)
{
    static float in[480];
    for (int i = 0; i < 300; i++) {
        rt_capture_clock(argument, 1.0 + i * 0.01);
        rt_capture_process(argument, in, 480);
    }
    return NULL;
}

static void *plays(void *argument)
{
    float out[480];
    for (int i = 0; i < 300; i++) {
        rt_playback_clock(argument, 1.02 + i * 0.01);
        if (i % 100 == 50)
            rt_playback_gap(argument, 96);
        rt_playback_process(argument, out, 480);
    }
    return NULL;
}

static void everything_across_threads(void)
{
    rt_duplex_config config = usual();
    config.capture_rate_hz = config.playback_rate_hz = (uint32_t)RATE;
    config.records_ms = 4000;
    config.two_clocks = 1;
    config.hearing = (rt_hearing_config){
        .echo = RT_ECHO_MODE_AUTO, .comfort_noise = 1, .unsure_threshold = 0.8f, .highpass_hz = 80.0f,
        .noise_reduction = RT_NOISE_REDUCTION_NEAR, .noise_strength = 1.0f, .agc_dbfs = -20.0f, .agc_most_db = 30.0f,
    };
    rt_duplex *d = make(&config);
    int16_t *reply = tone(72000, 0.5);
    rt_playout_open(rt_duplex_playout(d), 1);
    rt_playout_push(rt_duplex_playout(d), 1, 1, reply, 72000);
    pthread_t threads[2];
    CHECK_EQUAL(pthread_create(&threads[0], NULL, hears, d), 0);
    CHECK_EQUAL(pthread_create(&threads[1], NULL, plays, d), 0);
    rt_capture_stats capture = {0};
    rt_hearing_stats hearing;
    rt_reference_stats reference;
    for (int turn = 0; capture.hops < 299; turn++) {
        rt_duplex_set_mute(d, turn % 3 == 0, 0);
        rt_duplex_set_talk(d, turn % 5 == 0, 0);
        if (rt_duplex_read_hearing_stats(d, &hearing) == RT_OK)
            CHECK(hearing.near >= 0.0f && hearing.near <= 1.0f);
        rt_duplex_read_reference_stats(d, &reference);
        rt_capture_read_stats(d, &capture);
        sched_yield();
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK_EQUAL(rt_duplex_read_reference_stats(d, &reference), RT_OK);
    CHECK_EQUAL(rt_capture_read_stats(d, &capture), RT_OK);
    CHECK_EQUAL(reference.hops, capture.hops);
    free(reply);
    free(d);
}

int main(void)
{
    everything_across_threads();
    three_threads(480, 512, 200.0, 0);
    three_threads(441, 480, -200.0, 0);
    three_threads(128, 480, 200.0, 1);
    three_threads(480, 333, -200.0, 1);
    return CHECK_DONE();
}
