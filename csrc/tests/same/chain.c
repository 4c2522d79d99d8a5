/* The playout under each policy, and both halves of the duplex: a caller who interrupts a reply. */
#include "duplex.h"
#include "same.h"

static int16_t wire[VOICE_HOPS * RT_HOP];

/* ---- playout ---- */

static void keep_item(const rt_playout *playout, uint32_t item)
{
    rt_playout_item row;
    if (rt_playout_read_item(playout, item, &row) != RT_OK)
        return;
    keep_number((int64_t)row.queued);
    keep_number((int64_t)row.played);
    keep_number((int64_t)row.faded);
    keep_number((int64_t)row.discarded);
}

/* Deltas of 50 ms just in time, with a stall; interrupted after 8 s. */
static void burst(void)
{
    rt_playout_config config = {.format = RT_PCM16, .capacity_frames = 240000, .fade_ms = 20, .start_ms = 40, .refill_ms = 80,
                                .policy = RT_PLAYOUT_BURST, .max_delay_ms = 2000, .patience = 1.0f};
    rt_playout *p = make(rt_playout_size(&config));
    float out[RT_HOP];
    rt_playout_init(p, &config);
    rt_playout_open(p, 1);
    for (uint32_t hop = 0, sent = 0; hop < 1000; hop++) {
        if (hop < 300 || hop > 340)
            for (; sent < 1400 && sent < hop + 8; sent += 5)
                rt_playout_push(p, 1, 1, voice16 + sent * RT_HOP, 5 * RT_HOP);
        keep_number(rt_playout_process(p, hop > 800, out));
        keep(out, RT_HOP);
    }
    keep_item(p, 1);
}

/* Packets of 20 ms of G.711, up to 40 ms late, every 25th lost. */
static void paced(void)
{
    rt_playout_config config = {.format = RT_ULAW, .capacity_frames = 80000, .fade_ms = 20, .policy = RT_PLAYOUT_PACED,
                                .max_delay_ms = 2000, .patience = 1.0f};
    rt_playout *p = make(rt_playout_size(&config));
    uint8_t codes[160];
    float out[RT_HOP];
    uint64_t state = 13;
    rt_playout_init(p, &config);
    rt_playout_open(p, 1);
    for (uint32_t hop = 0; hop < 1400; hop++) {
        rt_playout_clock(p, (int64_t)hop * 10000);
        if (hop % 2 == 0 && hop % 50 != 24) {
            int64_t late = (int64_t)(20000 * (1.0f + noise(&state)));
            rt_jitter_packet packet = {(int64_t)hop * 10000 + late, 1, hop * 80, 160, (uint16_t)(hop / 2), RT_JITTER_SOUND};
            for (int i = 0; i < 160; i++)
                codes[i] = (uint8_t)(voice16[3 * (hop * 80 + (uint32_t)i)] >> 8);
            keep_number(rt_playout_push_packet(p, 1, 1, &packet, codes, 160));
        }
        keep_number(rt_playout_process(p, 0, out));
        keep(out, RT_HOP);
    }
    keep_item(p, 1);
}

/* ---- duplex ---- */

static void keep_records(rt_duplex *d, int format)
{
    static rt_record records[64];
    uint32_t count;
    while ((count = rt_duplex_read_records(d, records, 64)) > 0)
        for (uint32_t i = 0; i < count; i++) {
            keep_number((int64_t)records[i].position);
            keep_number(records[i].flags);
            keep_number(records[i].bytes);
            if (format == RT_PCM16) {
                int16_t samples[RT_HOP];
                memcpy(samples, records[i].payload, sizeof samples);
                keep_samples(samples, RT_HOP);
            }
        }
}

static void keep_events(rt_duplex *d)
{
    static rt_event events[64];
    uint32_t count;
    while ((count = rt_duplex_read_events(d, events, 64)) > 0)
        for (uint32_t i = 0; i < count; i++) {
            keep_number(events[i].kind);
            keep_number(events[i].value);
            keep_number((int64_t)events[i].position);
        }
}

static void duplex(uint32_t rate, int format, rt_hearing_config hearing)
{
    uint32_t block = rate / 50, per_s = format == RT_PCM16 ? RT_RATE : 8000;
    rt_duplex_config config = {
        .capture_rate_hz = rate, .playback_rate_hz = rate, .capture_channels = 1, .playback_channels = 1,
        .sample = RT_INT16, .max_block_frames = block, .send_format = format, .records_ms = 5000,
        .speech_threshold = 0.5f, .speech_release = 0.35f, .speech_ms = 20, .pause_ms = 150,
        .duck_gain = 0.125f, .ramp_ms = 10, .wakeup_descriptor = -1, .wakeup_records = 2,
        .gate = {RT_GATE_SILENCE, 0.2f, 0.15f, 400, 300, 1000}, .interrupt = {RT_POLICY_EITHER, 0.3f, 80, 200, 0.5f},
        .playout = {.format = format, .capacity_frames = per_s * 20, .fade_ms = 20, .policy = RT_PLAYOUT_BURST,
                    .max_delay_ms = 2000, .patience = 1.0f},
        .hearing = hearing,
    };
    rt_duplex *d = make(rt_duplex_size(&config));
    static int16_t heard[4000];
    if (rt_duplex_init(d, &config) != RT_OK)
        abort();
    for (uint32_t at = 0, item = 0; at + block <= VOICE_HOPS * RT_HOP; at += block) {
        if (at % (3 * rate) < block) { /* a reply every 3 s of sound */
            rt_playout_open(rt_duplex_playout(d), ++item);
            rt_playout_push(rt_duplex_playout(d), item, item, wire, 5 * per_s);
        }
        rt_duplex_process(d, voice16 + at, heard, block);
        keep_samples(heard, block);
        keep_records(d, format);
        keep_events(d);
    }
}

static void duplex_pcm(void)
{
    memcpy(wire, voice16, sizeof wire);
    duplex(24000, RT_PCM16, (rt_hearing_config){0});
}

static void duplex_48(void)
{
    memcpy(wire, voice16, sizeof wire);
    duplex(48000, RT_PCM16, (rt_hearing_config){0});
}

static void duplex_ears(void)
{
    memcpy(wire, voice16, sizeof wire);
    duplex(24000, RT_PCM16, (rt_hearing_config){RT_ECHO_MODE_AEC, 1, 0.8f, 80.0f, RT_NOISE_REDUCTION_FAR, 1.0f, -20.0f, 30.0f});
}

static void duplex_ulaw(void)
{
    uint64_t state = 14;
    for (uint32_t i = 0; i < VOICE_HOPS * RT_HOP; i++)
        wire[i] = (int16_t)(32767.0f * noise(&state));
    duplex(44100, RT_ULAW, (rt_hearing_config){0});
}

/* 16-bit output: one step, two where a rounding before meets one after. */
const same_row same_chains[] = {
    {"playout, burst", 1e-5, burst},
    {"playout, paced, mu-law", 1e-5, paced},
    {"duplex, 24 kHz, pcm", 1.0 / 16384, duplex_pcm},
    {"duplex, 48 kHz, pcm", 1.0 / 16384, duplex_48},
    {"duplex, 24 kHz, all ears", 1e-3, duplex_ears},
    {"duplex, 44.1 kHz, mu-law", 1.0 / 16384, duplex_ulaw},
    {NULL, 0, NULL},
};
