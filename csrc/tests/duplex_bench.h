/* duplex_bench.h - what the tests of the two halves share: a usual configuration, content, a room in which a reply is played. */
#ifndef DUPLEX_BENCH_H
#define DUPLEX_BENCH_H

#include "check.h"
#include "duplex.h"
#include "loud_vad.h"

#define PI 3.14159265358979323846

enum { MOST_BLOCK = 2000, MOST_CHANNELS = 3 };

static inline rt_duplex_config usual(void)
{
    rt_duplex_config config = {
        .capture_rate_hz = 24000,
        .playback_rate_hz = 24000,
        .capture_channels = 1,
        .playback_channels = 1,
        .sample = RT_FLOAT32,
        .max_block_frames = MOST_BLOCK,
        .send_format = RT_PCM16,
        .records_ms = 2000,
        .speech_threshold = 0.5f,
        .speech_release = 0.35f,
        .speech_ms = 20,
        .pause_ms = 150,
        .duck_gain = 0.25f,
        .ramp_ms = 10,
        .wakeup_descriptor = -1,
        .wakeup_records = 1,
        .follow_gaps = 1,
        .gate = {RT_GATE_OFF, 0.5f, 0.3f, 200, 100, 0},
        .interrupt = {RT_POLICY_EITHER, 0.5f, 100, 200},
        .playout = {RT_PCM16, 480000, 20, 0, 0},
    };
    return config;
}

static inline rt_duplex *make(const rt_duplex_config *config)
{
    rt_duplex *d = check_memory(rt_duplex_size(config));
    CHECK_EQUAL(rt_duplex_init(d, config), RT_OK);
    return d;
}

/* Noise from -0.9 to 0.9 that depends only on where it is. */
static inline float noise_at(uint64_t i)
{
    unsigned long long state = (i + 1) * 0x9E3779B97F4A7C15ull;
    check_random(&state);
    return (float)((double)check_random(&state) / 4294967296.0 * 1.8 - 0.9);
}

static inline int16_t *tone(uint32_t frames, double amplitude)
{
    int16_t *samples = malloc(frames * sizeof *samples);
    for (uint32_t i = 0; i < frames; i++)
        samples[i] = (int16_t)lrint(amplitude * 32767.0 * sin(2.0 * PI * i / 80.0)); /* 300 Hz at 24 kHz */
    return samples;
}

/* One callback with both directions, hop by hop, and what the loop reads after each. */
typedef struct room {
    rt_duplex *d;
    uint64_t hop;
    float in[RT_HOP], out[RT_HOP];
    double phase;
    rt_record records[256];
    uint32_t record_count; /* of this hop */
    rt_event events[64];
    uint32_t event_count;
} room;

static inline room *enter(const rt_duplex_config *config, uint32_t frames)
{
    room *r = calloc(1, sizeof *r);
    int16_t *reply = tone(frames, 0.5);
    r->d = make(config);
    rt_playout_open(rt_duplex_playout(r->d), 1);
    CHECK_EQUAL(rt_playout_push(rt_duplex_playout(r->d), 1, 1, reply, frames), frames);
    free(reply);
    return r;
}

static inline void leave(room *r)
{
    free(r->d);
    free(r);
}

static inline void hop(room *r, int speech)
{
    for (int i = 0; i < RT_HOP; i++, r->phase += 2.0 * PI * 500.0 / RT_RATE)
        r->in[i] = speech ? (float)(0.2 * sin(r->phase)) : 0.0f;
    CHECK_EQUAL(rt_duplex_process(r->d, r->in, r->out, RT_HOP), RT_OK);
    r->record_count = rt_duplex_read_records(r->d, r->records, 256);
    r->event_count = rt_duplex_read_events(r->d, r->events, 64);
    r->hop++;
}

static inline int saw(const room *r, uint32_t kind, uint32_t value)
{
    for (uint32_t i = 0; i < r->event_count; i++)
        if (r->events[i].kind == kind) {
            CHECK_EQUAL(r->events[i].value, value);
            CHECK_EQUAL(r->events[i].position, (r->hop - 1) * RT_HOP);
            return 1;
        }
    return 0;
}

static inline float peak(const room *r)
{
    float most = 0.0f;
    for (int i = 0; i < RT_HOP; i++)
        most = fabsf(r->out[i]) > most ? fabsf(r->out[i]) : most;
    return most;
}

static inline int is_silent_record(const rt_record *record)
{
    for (uint32_t i = 0; i < record->bytes; i++)
        if (record->payload[i])
            return 0;
    return 1;
}

#endif
