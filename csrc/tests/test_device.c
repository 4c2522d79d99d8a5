/* The device's callback: any block and channel goes through the halves unchanged; what went wrong is counted once. */
#include "device.h"
#include "duplex_bench.h"

#include <pthread.h>

static rt_duplex_config stereo(void)
{
    rt_duplex_config config = usual();
    config.capture_channels = 3;
    config.capture_channel = 2;
    config.playback_channels = 2;
    config.max_block_frames = 300; /* blocks are cut to it */
    config.playout = (rt_playout_config){RT_PCM16, 240000, 20, 0, 0, RT_PLAYOUT_FIXED};
    config.interrupt.policy = RT_POLICY_NEVER;
    return config;
}

static rt_device *open_device(rt_duplex *d, int direction, uint32_t mask)
{
    rt_device_config config = {.duplex = d, .direction = direction, .playback_mask = mask};
    rt_device *device = check_memory(rt_device_size());
    CHECK_EQUAL(rt_device_init(device, &config), RT_OK);
    return device;
}

static void test_blocks_and_channels(uint32_t block)
{
    rt_duplex_config config = stereo();
    rt_duplex *d = make(&config);
    int16_t *reply = tone(24000, 0.5);
    rt_playout_open(rt_duplex_playout(d), 1);
    CHECK_EQUAL(rt_playout_push(rt_duplex_playout(d), 1, 1, reply, 24000), 24000);
    rt_device *device = open_device(d, RT_DEVICE_BOTH, 2);
    static float in[3 * MOST_BLOCK], out[2 * MOST_BLOCK];
    rt_record record;
    uint64_t frame = 0, heard = 0;
    while (frame < 12000) {
        for (uint32_t i = 0; i < block; i++)
            in[3 * i] = in[3 * i + 1] = 0.9f, in[3 * i + 2] = (float)lrintf(32768.0f * 0.5f * noise_at(frame + i)) / 32768.0f;
        rt_device_time time = {.adc = frame / 24000.0, .now = frame / 24000.0 + 0.02, .dac = frame / 24000.0 + 0.05};
        CHECK_EQUAL(rt_device_process(device, in, out, block, &time, 0, 1 + (uint64_t)(frame / 24000.0 * 1e9)), 0);
        for (uint32_t i = 0; i < block; i++) {
            CHECK_EQUAL(lrintf(out[2 * i] * 32768.0f), 0); /* not in the mask */
            CHECK_EQUAL(lrintf(out[2 * i + 1] * 32768.0f), reply[frame + i]);
        }
        for (; rt_duplex_read_records(d, &record, 1) == 1; heard += RT_HOP)
            for (uint32_t i = 0; i < RT_HOP; i++) {
                int16_t sample;
                memcpy(&sample, record.payload + 2 * i, 2);
                CHECK_EQUAL(sample, lrintf(32768.0f * 0.5f * noise_at(heard + i)));
            }
        frame += block;
    }
    CHECK(heard + RT_HOP > frame - block);
    rt_device_stats stats;
    CHECK_EQUAL(rt_device_read_stats(device, &stats), RT_OK);
    CHECK_EQUAL(stats.frames, frame);
    CHECK_EQUAL(stats.callbacks, frame / block);
    CHECK_EQUAL(stats.missing_frames, 0);
    CHECK_EQUAL(stats.realtime, 0);
    free(reply);
    free(device);
    free(d);
}

static uint32_t gap_events(rt_duplex *d, uint32_t kind, int32_t *value)
{
    rt_event event;
    uint32_t count = 0;
    while (rt_duplex_read_events(d, &event, 1) == 1)
        if (event.kind == kind) {
            *value = (int32_t)event.value;
            count++;
        }
    return count;
}

/* 48 kHz, 10 ms blocks; from block 300 on 20 ms of the microphone are missing, from 600 on the loudspeaker dropped 10 ms. */
static void test_gap_is_one_event(void)
{
    rt_duplex_config config = usual();
    config.capture_rate_hz = config.playback_rate_hz = 48000;
    rt_duplex *d = make(&config);
    rt_device *device = open_device(d, RT_DEVICE_BOTH, 0);
    static float in[480], out[480];
    uint32_t captured = 0, played = 0;
    int32_t lost = 0, dropped = 0;
    for (int i = 0; i < 900; i++) {
        double now = i * 0.01;
        rt_device_time time = {now - 0.01 + (i >= 300 ? 0.02 : 0.0), now, now + 0.03 - (i >= 600 ? 0.01 : 0.0)};
        rt_device_process(device, in, out, 480, &time, i % 100 == 0 ? RT_OUTPUT_UNDERFLOW | RT_INPUT_OVERFLOW : 0, 1 + (uint64_t)(now * 1e9));
        if (i < 590)
            captured += gap_events(d, RT_EVENT_CAPTURE_GAP, &lost);
        else
            played += gap_events(d, RT_EVENT_PLAYBACK_GAP, &dropped);
    }
    CHECK_EQUAL(captured, 1);
    CHECK_EQUAL(lost, 480); /* samples at RT_RATE */
    CHECK_EQUAL(played, 1);
    CHECK_EQUAL(dropped, -240);
    rt_device_stats stats;
    rt_stamps_stats stamps;
    rt_device_read_stats(device, &stats);
    CHECK_EQUAL(stats.output_underflows, 9);
    CHECK_EQUAL(stats.input_overflows, 9);
    CHECK_EQUAL(stats.input_underflows + stats.output_overflows + stats.priming, 0);
    CHECK_EQUAL(rt_device_read_stamps(device, RT_DEVICE_CAPTURE, &stamps), RT_OK);
    CHECK_EQUAL(stamps.gap_frames, 960);
    CHECK_EQUAL(stamps.gaps, 1);
    CHECK_NEAR(stamps.latency, 0.01, 0.002);
    rt_device_read_stamps(device, RT_DEVICE_PLAYBACK, &stamps);
    CHECK_EQUAL(stamps.gap_frames, -480);
    CHECK_NEAR(stamps.latency, 0.02, 0.002);
    free(device);
    free(d);
}

typedef struct half {
    rt_device *device;
    int ok;
} half;

static void *stream(void *argument)
{
    half *h = argument;
    static _Thread_local float in[MOST_BLOCK * 3], out[MOST_BLOCK * 2];
    for (int i = 0; i < 2000; i++) {
        rt_device_time time = {i * 0.01, i * 0.01, i * 0.01};
        h->ok &= rt_device_callback(in, out, 240, &time, 0, h->device) == 0;
    }
    rt_device_finished(h->device);
    return NULL;
}

/* Two streams, two clocks: each half on its own thread, the loop reads. */
static void test_two_threads(void)
{
    rt_duplex_config config = stereo();
    rt_duplex *d = make(&config);
    half halves[2] = {{open_device(d, RT_DEVICE_CAPTURE, 0), 1}, {open_device(d, RT_DEVICE_PLAYBACK, 1), 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, stream, &halves[i]), 0);
    rt_device_stats stats[2] = {{0}, {0}};
    rt_record record;
    rt_event event;
    while (!stats[0].finished || !stats[1].finished) {
        for (int i = 0; i < 2; i++)
            rt_device_read_stats(halves[i].device, &stats[i]);
        rt_duplex_read_records(d, &record, 1);
        rt_duplex_read_events(d, &event, 1);
        rt_duplex_arm(d);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        CHECK(halves[i].ok);
        rt_device_read_stats(halves[i].device, &stats[i]);
        CHECK_EQUAL(stats[i].callbacks, 2000);
        CHECK(stats[i].busy_ns > 0 && stats[i].slowest_ns > 0);
        free(halves[i].device);
    }
    free(d);
}

static void test_refusals_and_nothing(void)
{
    rt_duplex_config config = usual();
    config.playback_rate_hz = 48000;
    rt_duplex *d = make(&config);
    rt_device *device = check_memory(rt_device_size());
    rt_device_config bad[] = {{NULL, RT_DEVICE_BOTH, 0, 0}, {d, 0, 0, 0}, {d, 4, 0, 0}, {d, RT_DEVICE_CAPTURE, 100, 0},
                              {d, RT_DEVICE_CAPTURE, -1, 0}, {d, RT_DEVICE_BOTH, 0, 0}}; /* the last: one stream, two rates */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQUAL(rt_device_init(device, &bad[i]), RT_BAD_ARGUMENT);
    rt_device_config good = {.duplex = d, .direction = RT_DEVICE_CAPTURE};
    CHECK_EQUAL(rt_device_init(device, &good), RT_OK);
    CHECK_EQUAL(rt_device_process(device, NULL, NULL, 240, NULL, RT_PRIMING_OUTPUT, 1), 0);
    CHECK_EQUAL(rt_device_process(device, NULL, NULL, 0, NULL, 0, 2), 0);
    rt_device_stats stats;
    rt_device_read_stats(device, &stats);
    CHECK_EQUAL(stats.frames, 240);
    CHECK_EQUAL(stats.priming, 1);
    rt_device_reset(device);
    rt_device_process(device, NULL, NULL, 240, NULL, 0, 1);
    rt_device_read_stats(device, &stats);
    CHECK_EQUAL(stats.callbacks, 1);
    free(device);
    free(d);
}

int main(void)
{
    static const uint32_t blocks[] = {1, 37, 240, 256, 441, 480, 1000};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        test_blocks_and_channels(blocks[i]);
    test_gap_is_one_event();
    test_two_threads();
    test_refusals_and_nothing();
    return CHECK_DONE();
}
