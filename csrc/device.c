#define _GNU_SOURCE 1 /* SCHED_RESET_ON_FORK */
#include "device.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

size_t rt_device_size(void) { return RT_ALIGN64(sizeof(rt_device)); }

int rt_device_init(rt_device *device, const rt_device_config *config)
{
    if (config->duplex == NULL || config->direction < RT_DEVICE_CAPTURE || config->direction > RT_DEVICE_REFERENCE || config->priority < 0 ||
        config->priority > 99)
        return RT_BAD_ARGUMENT;
    const rt_duplex_config *duplex = &config->duplex->config;
    if (config->direction == RT_DEVICE_BOTH && duplex->capture_rate_hz != duplex->playback_rate_hz)
        return RT_BAD_ARGUMENT;
    if (config->direction == RT_DEVICE_REFERENCE && (duplex->reference.channels == 0 || !duplex->reference.own_clock))
        return RT_BAD_ARGUMENT;
    memset(device, 0, sizeof *device);
    device->config = *config;
    uint32_t hears_hz = config->direction == RT_DEVICE_REFERENCE ? duplex->reference.rate_hz : duplex->capture_rate_hz;
    rt_stamps_init(&device->capture, hears_hz, 0);
    rt_stamps_init(&device->playback, duplex->playback_rate_hz, 1);
    rt_due_init(&device->due, config->direction == RT_DEVICE_PLAYBACK ? duplex->playback_rate_hz : hears_hz);
    return RT_OK;
}

void rt_device_reset(rt_device *device)
{
    rt_device_config config = device->config;
    rt_device_init(device, &config);
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

/* For this thread alone, and not for what it may fork. */
static void ask_for_realtime(rt_device *device)
{
    device->asked = 1;
#if defined(__linux__)
    struct sched_param wanted = {.sched_priority = device->config.priority};
    int refused = pthread_setschedparam(pthread_self(), SCHED_FIFO | SCHED_RESET_ON_FORK, &wanted);
    device->stats.realtime = refused ? -refused : 1;
#endif
}

static void hush(const rt_device *device, void *out, uint32_t frames)
{
    const rt_duplex_config *duplex = &device->config.duplex->config;
    size_t bytes = duplex->sample == RT_INT16 ? sizeof(int16_t) : sizeof(float);
    for (uint32_t c = 0; c < duplex->playback_channels; c++)
        for (uint32_t i = 0; !(device->config.playback_mask >> c & 1) && i < frames; i++)
            memset((unsigned char *)out + ((size_t)i * duplex->playback_channels + c) * bytes, 0, bytes);
}

static void pass(rt_device *device, const void *in, void *out, uint32_t frames)
{
    rt_duplex *duplex = device->config.duplex;
    if (device->config.direction == RT_DEVICE_REFERENCE) {
        double begin_s = rt_stamps_monotonic(&device->capture);
        rt_duplex_reference(duplex, in, frames, begin_s > 0.0 ? begin_s + (double)frames / duplex->config.reference.rate_hz : 0.0);
        return;
    }
    size_t bytes = duplex->config.sample == RT_INT16 ? sizeof(int16_t) : sizeof(float);
    double begin_s = rt_stamps_monotonic(&device->capture), heard_s = rt_stamps_monotonic(&device->playback);
    for (uint32_t first = 0; first < frames;) {
        uint32_t most = duplex->config.max_block_frames, n = frames - first < most ? frames - first : most;
        size_t at = first * bytes;
        if (device->config.direction & RT_DEVICE_CAPTURE) {
            rt_capture_clock(duplex, begin_s > 0.0 ? begin_s + (double)first / duplex->config.capture_rate_hz : 0.0);
            rt_capture_process(duplex, in ? (const unsigned char *)in + at * duplex->config.capture_channels : NULL, n);
        }
        if (device->config.direction & RT_DEVICE_PLAYBACK && out != NULL) {
            rt_playback_clock(duplex, heard_s > 0.0 ? heard_s + (double)first / duplex->config.playback_rate_hz : 0.0);
            rt_playback_process(duplex, (unsigned char *)out + at * duplex->config.playback_channels, n);
        }
        first += n;
    }
    if (out != NULL && device->config.playback_mask != 0)
        hush(device, out, frames);
}

static void count_flags(rt_device_stats *stats, uint32_t flags)
{
    stats->input_underflows += (flags & RT_INPUT_UNDERFLOW) != 0;
    stats->input_overflows += (flags & RT_INPUT_OVERFLOW) != 0;
    stats->output_underflows += (flags & RT_OUTPUT_UNDERFLOW) != 0;
    stats->output_overflows += (flags & RT_OUTPUT_OVERFLOW) != 0;
    stats->priming += (flags & RT_PRIMING_OUTPUT) != 0;
}

/* Gaps are told after the block: the event's position is the place after it, at most some blocks late by the time they are certain. */
static void follow(rt_device *device, const rt_device_time *time, uint32_t frames, double monotonic)
{
    rt_duplex *duplex = device->config.duplex;
    if (device->config.direction & (RT_DEVICE_CAPTURE | RT_DEVICE_REFERENCE)) {
        int64_t gap = rt_stamps_process(&device->capture, time->adc, time->now, monotonic, frames);
        if (gap != 0 && device->config.direction != RT_DEVICE_REFERENCE) /* the reference keeps its own place */
            rt_capture_gap(duplex, gap);
        rt_board_publish(&device->capture_board, &device->capture.stats, sizeof device->capture.stats);
    }
    if (device->config.direction & RT_DEVICE_PLAYBACK) {
        int64_t gap = rt_stamps_process(&device->playback, time->dac, time->now, monotonic, frames);
        if (gap != 0)
            rt_playback_gap(duplex, gap);
        rt_board_publish(&device->playback_board, &device->playback.stats, sizeof device->playback.stats);
    }
}

int rt_device_process(rt_device *device, const void *in, void *out, uint32_t frames, const rt_device_time *time, uint32_t flags,
                      uint64_t now) RT_NONBLOCKING
{
    rt_device_stats *stats = &device->stats;
    pass(device, in, out, frames);
    stats->callbacks++;
    stats->frames += frames;
    count_flags(stats, flags);
    rt_due_process(&device->due, now, frames);
    stats->missing_frames = device->due.missing;
    stats->longest_ns = device->due.longest_ns;
    stats->newest_ns = now;
    if (time != NULL && !(flags & RT_PRIMING_OUTPUT))
        follow(device, time, frames, (double)now * 1e-9);
    rt_board_publish(&device->board, stats, sizeof *stats);
    return 0;
}

int rt_device_callback(const void *in, void *out, unsigned long frames, const rt_device_time *time, unsigned long flags, void *userdata)
{
    rt_device *device = userdata;
    uint64_t begun = now_ns();
    if (!device->asked && device->config.priority > 0)
        ask_for_realtime(device);
    rt_device_process(device, in, out, (uint32_t)frames, time, (uint32_t)flags, begun);
    uint64_t took = now_ns() - begun; /* told with the next callback */
    device->stats.busy_ns += took;
    device->stats.slowest_ns = took > device->stats.slowest_ns ? took : device->stats.slowest_ns;
    return 0;
}

void rt_device_finished(void *userdata)
{
    rt_device *device = userdata;
    atomic_store_explicit(&device->finished, 1, memory_order_release);
    rt_wakeup_signal(&device->config.duplex->wakeup, &device->fired);
}

RT_BOARD_FITS(rt_device_stats);
RT_BOARD_FITS(rt_stamps_stats);

int rt_device_read_stats(const rt_device *device, rt_device_stats *stats)
{
    int status = rt_board_read(&device->board, stats, sizeof *stats);
    stats->finished = atomic_load_explicit(&device->finished, memory_order_acquire);
    return status;
}

int rt_device_read_stamps(const rt_device *device, int direction, rt_stamps_stats *stats)
{
    return rt_board_read(direction == RT_DEVICE_CAPTURE ? &device->capture_board : &device->playback_board, stats, sizeof *stats);
}
