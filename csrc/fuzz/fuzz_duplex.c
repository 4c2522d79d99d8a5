/* Both halves with any configuration, sound, blocks and controls: counts, time map, bounds, silence if interrupted. */
#include "duplex.h"
#include "fuzz.h"
#include "ledger.h"

#include <fcntl.h>
#include <unistd.h>

enum { MOST_SAMPLES = 6000, MOST_HOPS = 500 };

typedef struct bench {
    rt_duplex *d;
    rt_duplex_config config;
    ledger ledger;
    uint64_t captured, played, hops; /* device frames; hops of the playback half */
    uint64_t records, events, late_end, silence_end;
    double dead_seconds; /* played since everything that was opened is latched */
    uint32_t kind;
    float volume;
    int held; /* there was a hold: the queue stood still for a while */
} bench;

static const uint32_t RATES[] = {8000, 16000, 24000, 44100, 48000, 32000, 96000, 192000};

static uint32_t next_rate(input *in)
{
    uint32_t choice = next_byte(in);
    return choice < 240 ? RATES[choice % 8] : choice < 252 ? next_in(in, 8000, 192000) : next_word(in);
}

/* The write end of a pipe that nobody reads, so that it is full in the end. */
static int descriptor(void)
{
    static int ends[2] = {-1, -1};
    if (ends[1] < 0 && pipe(ends) == 0)
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
    return ends[1];
}

static rt_duplex_config next_config(input *in)
{
    uint32_t flags = next_byte(in), wild = next_byte(in);
    rt_duplex_config c = {
        .capture_rate_hz = next_rate(in),
        .playback_rate_hz = next_rate(in),
        .capture_channels = 1 + (flags & 1),
        .playback_channels = 1 + (flags >> 1 & 1),
        .sample = flags >> 2 & 1,
        .max_block_frames = next_in(in, 1, 4000),
        .send_format = (int)(flags >> 3 & 3) % 3,
        .records_ms = 2000,
        .speech_threshold = 0.5f,
        .speech_release = 0.35f,
        .speech_ms = 20,
        .pause_ms = 150,
        .duck_gain = (float)(flags >> 5) / 7.0f,
        .ramp_ms = 10 + flags,
        .wakeup_descriptor = flags & 32 ? descriptor() : -1,
        .wakeup_records = 1 + (flags >> 5),
    };
    c.gate = (rt_gate_config){(int)next_in(in, 0, 2), 0.5f, 0.3f, 0, 0, 0};
    c.gate.hold_ms = next_in(in, 0, 300);
    c.gate.preroll_ms = next_in(in, 0, 500);
    c.gate.linger_ms = next_in(in, 0, 500);
    c.interrupt = (rt_interrupt_config){(int)next_in(in, 0, 3), 0.3f, 0, 0, 0.5f};
    c.interrupt.confirm_ms = next_in(in, 10, 265);
    c.interrupt.restore_ms = next_in(in, 10, 265);
    c.playout = (rt_playout_config){(int)next_in(in, 0, 2), 9600, 0, 0, 0};
    c.playout.fade_ms = next_in(in, 1, 60);
    c.playout.start_ms = next_in(in, 0, 100);
    c.playout.refill_ms = next_in(in, 0, 100);
    /* one word outside what is usual, mostly outside the range as well */
    if (wild > 180) {
        uint32_t word = next_word(in), place = wild % (uint32_t)(sizeof c / 4);
        memcpy((uint8_t *)&c + 4 * (size_t)place, &word, 4);
        c.wakeup_descriptor = -1;
    }
    if (wild % 4 == 3)
        c.hearing = (rt_hearing_config){
            .echo = (int)(flags >> 4 & 3), .comfort_noise = (int)(flags & 1), .unsure_threshold = 0.8f, .highpass_hz = (float)(wild & 128),
            .noise_reduction = (int)(wild >> 4 & 3) % 3, .noise_strength = (float)(wild & 8) / 8.0f, .agc_dbfs = wild & 64 ? -20.0f : 0.0f,
        };
    if (wild % 16 == 1)
        c.capture_channels = next_in(in, 1, 32), c.capture_channel = c.capture_channels - 1;
    if (wild % 16 == 2)
        c.playback_channels = next_in(in, 1, 32);
    return c;
}

static size_t sample_bytes(const bench *b) { return b->config.sample == RT_INT16 ? 2 : 4; }

static uint64_t divided_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

static uint32_t at_most(const bench *b, uint32_t frames, uint32_t channels)
{
    uint32_t most = MOST_SAMPLES / channels, allowed = b->config.max_block_frames;
    most = most < allowed ? most : allowed;
    return frames < most ? frames : most;
}

static void *microphone(const bench *b, uint32_t frames)
{
    uint32_t samples = frames * b->config.capture_channels;
    uint8_t *in = rough_memory(samples * sample_bytes(b));
    for (uint32_t i = 0; i < samples; i++) {
        float x = sample_of(b->kind, b->captured * b->config.capture_channels + i);
        int16_t whole = (int16_t)(uint16_t)(x > -2.0f && x < 2.0f ? (int32_t)(x * 32767.0f) : 12345);
        memcpy(in + i * sample_bytes(b), b->config.sample == RT_INT16 ? (void *)&whole : (void *)&x, sample_bytes(b));
    }
    return in;
}

static void check_capture(const bench *b)
{
    rt_capture_stats s;
    EXPECT(rt_capture_read_stats(b->d, &s) == RT_OK);
    EXPECT(s.frames == b->captured && s.hops == divided_up(b->captured * RT_RATE, b->config.capture_rate_hz) / RT_HOP);
    uint64_t held_back = b->config.hearing.noise_reduction != RT_NOISE_REDUCTION_OFF; /* hops */
    EXPECT(s.gate.hops == (s.hops > held_back ? s.hops - held_back : 0) && s.records + s.lost_records == s.gate.sound_hops + s.gate.silence_hops);
    EXPECT(s.gate.sound_hops + s.gate.held_hops + s.gate.lost_hops <= s.hops && b->records <= s.records);
    EXPECT(s.probability >= 0.0f && s.probability <= 1.0f && isfinite(s.floor_db));
    EXPECT(s.level_peak >= 0.0f && s.level_peak <= 4.0f && s.level_rms >= 0.0f && s.level_rms <= s.level_peak * 1.001f);
}

static void capture(bench *b, uint32_t frames, int none)
{
    frames = at_most(b, frames, b->config.capture_channels);
    void *in = none ? NULL : microphone(b, frames);
    EXPECT(rt_capture_process(b->d, in, frames) == RT_OK);
    b->captured += frames;
    free(in);
    check_capture(b);
}

/* Finite, in every channel the same, and full scale at most but for what a filter's ringing adds. */
static void check_sound(const bench *b, const void *out, uint32_t frames, int silent)
{
    uint32_t channels = b->config.playback_channels;
    float most = b->config.playback_rate_hz == RT_RATE ? 1.0f : 4.0f, first = 0.0f;
    for (size_t i = 0; i < (size_t)frames * channels; i++) {
        float x = b->config.sample == RT_INT16 ? ((const int16_t *)out)[i] / 32768.0f : ((const float *)out)[i];
        first = i % channels == 0 ? x : first;
        EXPECT(x == first && fabsf(x) <= most && (!silent || x == 0.0f));
    }
}

/* Returns the hops made: as many as the frames given ask for. */
static uint64_t check_playback(const bench *b)
{
    rt_playback_stats s;
    EXPECT(rt_playback_read_stats(b->d, &s) == RT_OK);
    uint64_t hop = RT_HOP, hops = s.hops;
    EXPECT(s.frames == b->played && (b->held ? s.playout.output <= hops * hop : s.playout.output == hops * hop));
    EXPECT(divided_up(hops * hop * b->config.playback_rate_hz, RT_RATE) >= b->played);
    EXPECT(hops == 0 || divided_up((hops - 1) * hop * b->config.playback_rate_hz, RT_RATE) < b->played);
    EXPECT(s.level_peak >= 0.0f && s.level_peak <= 16.0f && s.level_rms <= s.level_peak * 1.001f);
    EXPECT(s.gain >= 0.0f && s.gain <= 4.0f && s.limited_hops <= hops);
    return hops;
}

static void playback(bench *b, uint32_t frames)
{
    frames = at_most(b, frames, b->config.playback_channels);
    size_t bytes = frames * b->config.playback_channels * sample_bytes(b);
    void *out = rough_memory(bytes);
    /* the fade, two hops (one begun, one that waits for the device) and the length of the resampler's filter */
    double rate = b->config.playback_rate_hz, filter = 50.0 / (rate < RT_RATE ? rate : RT_RATE);
    double allowed = b->config.playout.fade_ms / 1000.0 + 0.020 + filter;
    int dead = b->ledger.latched >= b->ledger.opened;
    EXPECT(rt_playback_process(b->d, out, frames) == RT_OK);
    b->played += frames;
    check_sound(b, out, frames, dead && b->dead_seconds > allowed);
    b->dead_seconds = dead ? b->dead_seconds + frames / rate : 0.0;
    free(out);
    uint64_t hops = check_playback(b);
    if (hops != b->hops)
        ledger_check(&b->ledger, b->ledger.latched);
    b->hops = hops;
}

/* Too large a block is refused before anything is read or written. */
static void refuse_block(bench *b, uint32_t more)
{
    uint8_t out = RUBBISH;
    uint32_t frames = b->config.max_block_frames + 1 + more;
    EXPECT(rt_capture_process(b->d, &out, frames) == RT_BAD_ARGUMENT);
    EXPECT(rt_playback_process(b->d, &out, frames) == RT_BAD_ARGUMENT && out == RUBBISH);
}

static void read_records(bench *b, uint32_t count)
{
    rt_capture_stats s;
    rt_record *records = rough_memory(count * sizeof *records);
    uint32_t n = rt_duplex_read_records(b->d, records, count);
    EXPECT(n <= count && untouched(records + n, (count - n) * sizeof *records));
    EXPECT(rt_capture_read_stats(b->d, &s) == RT_OK);
    for (uint32_t i = 0; i < n; i++) {
        const rt_record *r = &records[i];
        uint64_t *end = r->flags & RT_RECORD_SILENCE ? &b->silence_end : &b->late_end;
        EXPECT(r->bytes == (b->config.send_format == RT_PCM16 ? 480 : 80));
        EXPECT(r->flags <= RT_RECORD_LATE && r->position % RT_HOP == 0);
        EXPECT(r->position < s.hops * RT_HOP && r->position >= *end);
        *end = r->position + RT_HOP;
    }
    b->records += n;
    EXPECT(n == count || b->records == s.records);
    free(records);
}

static void read_events(bench *b, uint32_t count)
{
    rt_event *events = rough_memory(count * sizeof *events);
    uint32_t n = rt_duplex_read_events(b->d, events, count);
    EXPECT(n <= count && untouched(events + n, (count - n) * sizeof *events));
    for (uint32_t i = 0; i < n; i++) {
        const rt_event *e = &events[i];
        EXPECT((e->kind >= RT_EVENT_SPEECH_STARTED && e->kind <= RT_EVENT_RELEASED) ||
               (e->kind >= RT_EVENT_PLAYING && e->kind <= RT_EVENT_SILENT));
        EXPECT(e->position % RT_HOP == 0 && e->value <= (e->kind < 16 ? b->ledger.opened : LEDGER_ITEMS));
        EXPECT(e->kind != RT_EVENT_CONFIRMED || b->config.interrupt.policy <= RT_POLICY_LOCAL);
    }
    free(events);
}

static void control(bench *b, input *in, uint32_t op)
{
    float volume = op & 1 ? next_float(in) : (float)next_byte(in) / 50.0f;
    EXPECT((rt_duplex_set_volume(b->d, volume) == RT_OK) == (volume >= 0.0f && volume <= 4.0f));
    rt_duplex_set_mute(b->d, op >> 1 & 1, op >> 2 & 1 ? 0 : rt_capture_position(b->d));
    rt_duplex_set_hold(b->d, (op & 0xF) == 9);
    b->held |= (op & 0xF) == 9;
    rt_duplex_set_turn_open(b->d, op >> 2 & 1);
    rt_duplex_arm(b->d);
    EXPECT(isfinite(rt_capture_latency(b->d, op)) && isfinite(rt_playback_latency(b->d, op)));
}

static void forget(bench *b)
{
    b->ledger = ledger_of(rt_duplex_playout(b->d), &b->config.playout);
    b->captured = b->played = b->hops = b->records = b->late_end = b->silence_end = 0;
    b->dead_seconds = 0.0;
}

/* Captured and played. */
static uint64_t hops_done(const bench *b)
{
    return b->captured * 100 / b->config.capture_rate_hz + b->played * 100 / b->config.playback_rate_hz;
}

static void run(bench *b, input *in)
{
    while (in->left > 0 && hops_done(b) < MOST_HOPS) {
        uint32_t op = next_byte(in), hop = b->config.capture_rate_hz / 100, frames;
        if (op < 0x40) {
            ledger_operate(&b->ledger, in);
        } else if (op < 0x60) {
            capture(b, next_in(in, 0, 4000), op == 0x5F);
        } else if (op < 0x80) {
            playback(b, next_in(in, 0, 4000));
        } else if (op < 0xC0) {
            for (frames = (op % 8 + 1) * 4; frames > 0; frames--)
                capture(b, hop, 0), playback(b, b->config.playback_rate_hz / 100);
        } else if (op < 0xD0) {
            b->kind = next_byte(in);
        } else if (op < 0xDC) {
            read_records(b, next_byte(in));
        } else if (op < 0xE8) {
            read_events(b, next_byte(in));
        } else if (op < 0xF8) {
            control(b, in, op);
        } else if (op < 0xFE) {
            refuse_block(b, next_half(in));
        } else {
            rt_duplex_reset(b->d);
            forget(b);
        }
    }
}

static void hop(void *context)
{
    bench *b = context;
    uint64_t until = b->played + (b->config.playback_rate_hz + 99) / 100;
    while (b->played < until)
        playback(b, (uint32_t)(until - b->played));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    input in = {bytes, count};
    rt_duplex_config config = next_config(&in);
    size_t size = rt_duplex_size(&config);
    if (size > 1 << 24)
        return 0;
    bench b = {.d = rough_memory(size ? size : sizeof(rt_duplex)), .config = config};
    int status = rt_duplex_init(b.d, &config);
    if (status == RT_OK) {
        EXPECT(size > 0);
        forget(&b);
        run(&b, &in);
        rt_duplex_set_hold(b.d, 0);
        ledger_drain(&b.ledger, hop, &b, 300);
    } else {
        EXPECT(status == RT_BAD_ARGUMENT && untouched(b.d, sizeof *b.d));
    }
    free(b.d);
    return 0;
}
