/* The pacer keeps count with the clock, plays the input once, records both sides and stops within a block. */
#include "check.h"
#include "pacer.h"

#include <time.h>

static rt_duplex_config duplex_config(void)
{
    rt_duplex_config config = {0};
    config.capture_rate_hz = config.playback_rate_hz = 24000;
    config.capture_channels = config.playback_channels = 1;
    config.sample = RT_INT16;
    config.max_block_frames = 480;
    config.records_ms = 2000;
    config.speech_threshold = 0.5f;
    config.speech_ms = 20;
    config.pause_ms = 150;
    config.duck_gain = 0.126f;
    config.ramp_ms = 10;
    config.wakeup_descriptor = -1;
    config.wakeup_records = 2;
    config.gate.open_threshold = config.gate.close_threshold = 0.5f;
    config.interrupt = (rt_interrupt_config){RT_POLICY_NEVER, 0.5f, 120, 200};
    config.playout = (rt_playout_config){RT_PCM16, 24000, 20, 0, 0};
    return config;
}

static void wait_frames(const rt_pacer *pacer, uint64_t frames)
{
    rt_pacer_stats stats = {0};
    struct timespec tick = {0, 1000000};
    for (int i = 0; i < 20000 && stats.frames < frames; i++) {
        nanosleep(&tick, NULL);
        CHECK_EQUAL(rt_pacer_read_stats(pacer, &stats), RT_OK);
    }
    CHECK(stats.frames >= frames);
}

int main(void)
{
    rt_duplex_config config = duplex_config();
    rt_duplex *duplex = check_memory(rt_duplex_size(&config));
    CHECK_EQUAL(rt_duplex_init(duplex, &config), RT_OK);
    rt_ring *recording = check_memory(rt_ring_size(4, 1 << 16));
    CHECK_EQUAL(rt_ring_init(recording, 4, 1 << 16), RT_OK);
    static int16_t input[3000], reply[5000];
    for (int i = 0; i < 3000; i++)
        input[i] = (int16_t)(i + 1);
    for (int i = 0; i < 5000; i++)
        reply[i] = (int16_t)(-i - 1);
    CHECK_EQUAL(rt_playout_open(rt_duplex_playout(duplex), 1), RT_OK);
    CHECK_EQUAL(rt_playout_push(rt_duplex_playout(duplex), 1, 1, reply, 5000), 5000);
    CHECK_EQUAL(rt_playout_complete(rt_duplex_playout(duplex), 1), RT_OK);

    rt_pacer *pacer = check_memory(rt_pacer_size());
    rt_pacer_config bad = {duplex, input, 3000, 481, 1.0, recording};
    CHECK_EQUAL(rt_pacer_init(pacer, &bad), RT_BAD_ARGUMENT);
    rt_pacer_config paced = {duplex, input, 3000, 240, 20.0, recording};
    CHECK_EQUAL(rt_pacer_init(pacer, &paced), RT_OK);
    rt_pacer_stop(pacer); /* nothing runs: harmless */
    CHECK_EQUAL(rt_pacer_start(pacer), RT_OK);
    CHECK_EQUAL(rt_pacer_start(pacer), RT_BAD_ARGUMENT);
    wait_frames(pacer, 6000);
    rt_pacer_stop(pacer);

    int16_t pair[2];
    for (int i = 0; i < 6000; i++) {
        CHECK_EQUAL(rt_ring_read(recording, pair, 1), 1);
        CHECK_EQUAL(pair[0], i < 3000 ? input[i] : 0);
        CHECK_EQUAL(pair[1], i < 5000 ? reply[i] : 0);
    }
    CHECK_EQUAL(rt_pacer_start(pacer), RT_OK); /* goes on where it stopped */
    rt_pacer_stop(pacer);
    free(pacer);
    free(recording);
    free(duplex);
    return CHECK_DONE();
}
