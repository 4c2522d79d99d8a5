#include "duplex.h"

#include <math.h>
#include <string.h>

static size_t resample_bytes(uint32_t rate_in, uint32_t rate_out) { return RT_ALIGN64(rt_resample_size(rate_in, rate_out)); }

static uint32_t record_count(const rt_duplex_config *config) { return config->records_ms / 10; }

static uint32_t pair_count(const rt_duplex_config *config) { return config->pairs_ms / 10; }

/* Whether anybody asks for what is played, and no device tells. */
static int taps(const rt_duplex_config *config)
{
    return config->reference.channels == 0 && (config->pairs_ms > 0 || config->hearing.echo != RT_ECHO_MODE_OFF);
}

/* Hops by which blocks of any size part the halves. */
static uint32_t lead(const rt_duplex_config *config)
{
    uint32_t rate = config->capture_rate_hz, hops = (uint32_t)(((uint64_t)config->max_block_frames * 100 + rate - 1) / rate) + (rate % 100 != 0);
    return hops * RT_HOP < RT_TAP_SAMPLES / 2 ? hops * RT_HOP : RT_TAP_SAMPLES / 2;
}

static rt_reference_config reference_of(const rt_duplex_config *config)
{
    rt_reference_config own = {1, RT_RATE, 1, 0, RT_FLOAT32};
    return taps(config) && config->two_clocks ? own : config->reference;
}

static int valid_reference(const rt_duplex_config *config)
{
    const rt_reference_config *reference = &config->reference;
    int same = reference->rate_hz == config->capture_rate_hz && reference->channels == config->capture_channels &&
               reference->sample == config->sample;
    int paired = config->pairs_ms == 0 || (config->pairs_ms >= 100 && config->pairs_ms <= 10000);
    return paired && (reference->channels == 0 || ((reference->own_clock || same) && rt_reference_size(reference) != 0));
}

static int valid(const rt_duplex_config *config)
{
    return rt_resample_size(config->capture_rate_hz, RT_RATE) != 0 && rt_resample_size(RT_RATE, config->playback_rate_hz) != 0 &&
           config->capture_channels >= 1 && config->capture_channels <= RT_MAX_CHANNELS && config->playback_channels >= 1 &&
           config->playback_channels <= RT_MAX_CHANNELS && config->capture_channel < config->capture_channels &&
           (config->sample == RT_INT16 || config->sample == RT_FLOAT32) && config->max_block_frames >= 1 &&
           config->max_block_frames <= 96000 && config->send_format >= RT_PCM16 && config->send_format <= RT_ALAW &&
           config->records_ms >= 2000 && config->records_ms <= 60000 && config->speech_threshold >= 0.0f &&
           config->speech_threshold <= 1.0f && config->speech_release >= 0.0f && config->speech_release <= config->speech_threshold &&
           config->speech_ms >= 10 && config->speech_ms <= 1000 && config->pause_ms >= 10 && config->pause_ms <= 10000 && config->duck_gain >= 0.0f && config->duck_gain <= 1.0f && config->ramp_ms >= 10 &&
           config->ramp_ms <= 1000 && config->wakeup_records >= 1 && config->wakeup_records <= 100 &&
           (config->two_clocks == 0 || config->two_clocks == 1) && (config->follow_gaps == 0 || config->follow_gaps == 1);
}

/* Lays the parts out behind the struct, in one order for size and init; `duplex` NULL only measures. */
static size_t lay_out(rt_duplex *duplex, const rt_duplex_config *config)
{
    rt_duplex scratch;
    rt_capture *c = duplex ? &duplex->capture : &scratch.capture;
    rt_playback *p = duplex ? &duplex->playback : &scratch.playback;
    size_t end = RT_ALIGN64(sizeof(rt_duplex));
#define PLACE(offset, bytes) ((offset) = end, end += RT_ALIGN64(bytes))
    PLACE(c->resample_offset, resample_bytes(config->capture_rate_hz, RT_RATE));
    PLACE(c->encode_offset, config->send_format == RT_PCM16 ? 0 : resample_bytes(RT_RATE, 8000));
    PLACE(c->hearing_offset, rt_hearing_size(&config->hearing));
    PLACE(c->vad_offset, rt_vad_size());
    PLACE(c->interrupt_offset, rt_interrupt_size());
    PLACE(c->gate_offset, rt_gate_size());
    PLACE(c->stages_offset, rt_stages_size());
    PLACE(c->records_offset, rt_ring_size(sizeof(rt_record), record_count(config)));
    PLACE(c->events_offset, rt_ring_size(sizeof(rt_event), RT_EVENTS));
    rt_reference_config reference = reference_of(config);
    c->reference_offset = c->tap_offset = c->pairs_offset = 0;
    c->own_reference = config->reference.channels == 0;
    if (reference.channels > 0)
        PLACE(c->reference_offset, rt_reference_size(&reference));
    else if (taps(config))
        PLACE(c->tap_offset, rt_tap_size());
    if (config->pairs_ms > 0)
        PLACE(c->pairs_offset, rt_ring_size(sizeof(rt_pair), pair_count(config)));
    PLACE(p->playout_offset, rt_playout_size(&config->playout));
    PLACE(p->stages_offset, rt_stages_size());
    PLACE(p->volume_offset, rt_volume_size());
    PLACE(p->resample_offset, resample_bytes(RT_RATE, config->playback_rate_hz));
    PLACE(p->events_offset, rt_ring_size(sizeof(rt_event), RT_EVENTS));
#undef PLACE
    return end;
}

size_t rt_duplex_size(const rt_duplex_config *config)
{
    if (!valid(config) || !valid_reference(config) || rt_hearing_size(&config->hearing) == 0 || !rt_gate_valid(&config->gate) || !rt_interrupt_valid(&config->interrupt) ||
        rt_playout_size(&config->playout) == 0)
        return 0;
    return lay_out(NULL, config);
}

static int init_capture(rt_duplex *d)
{
    rt_capture *c = &d->capture;
    int status = rt_resample_init(rt_duplex_part(d, c->resample_offset), d->config.capture_rate_hz, RT_RATE);
    if (status == RT_OK && d->config.send_format != RT_PCM16)
        status = rt_resample_init(rt_duplex_part(d, c->encode_offset), RT_RATE, 8000);
    if (status == RT_OK)
        status = rt_hearing_init(rt_duplex_part(d, c->hearing_offset), &d->config.hearing);
    if (status == RT_OK)
        status = rt_vad_init(rt_duplex_part(d, c->vad_offset));
    if (status == RT_OK)
        status = rt_interrupt_init(rt_duplex_part(d, c->interrupt_offset), &d->config.interrupt);
    if (status == RT_OK)
        status = rt_gate_init(rt_duplex_part(d, c->gate_offset), &d->config.gate);
    if (status == RT_OK)
        status = rt_stages_init(rt_duplex_part(d, c->stages_offset));
    if (status == RT_OK)
        status = rt_ring_init(rt_duplex_part(d, c->records_offset), sizeof(rt_record), record_count(&d->config));
    if (status == RT_OK)
        status = rt_ring_init(rt_duplex_part(d, c->events_offset), sizeof(rt_event), RT_EVENTS);
    rt_reference_config reference = reference_of(&d->config);
    if (status == RT_OK && c->reference_offset != 0)
        status = rt_reference_init(rt_duplex_part(d, c->reference_offset), &reference);
    if (status == RT_OK && c->tap_offset != 0)
        status = rt_tap_init(rt_duplex_part(d, c->tap_offset), lead(&d->config));
    if (status == RT_OK && c->pairs_offset != 0)
        status = rt_ring_init(rt_duplex_part(d, c->pairs_offset), sizeof(rt_pair), pair_count(&d->config));
    return status;
}

static int init_playback(rt_duplex *d)
{
    rt_playback *p = &d->playback;
    int status = rt_playout_init(rt_duplex_part(d, p->playout_offset), &d->config.playout);
    if (status == RT_OK)
        status = rt_stages_init(rt_duplex_part(d, p->stages_offset));
    if (status == RT_OK)
        status = rt_volume_init(rt_duplex_part(d, p->volume_offset), d->config.ramp_ms);
    if (status == RT_OK)
        status = rt_resample_init(rt_duplex_part(d, p->resample_offset), RT_RATE, d->config.playback_rate_hz);
    if (status == RT_OK)
        status = rt_ring_init(rt_duplex_part(d, p->events_offset), sizeof(rt_event), RT_EVENTS);
    return status;
}

int rt_duplex_init(rt_duplex *d, const rt_duplex_config *config)
{
    if (rt_duplex_size(config) == 0)
        return RT_BAD_ARGUMENT;
    memset(d, 0, sizeof *d);
    d->config = *config;
    d->wakeup.descriptor = config->wakeup_descriptor;
    lay_out(d, config);
    rt_duplex_set_volume(d, 1.0f);
    int status = init_capture(d);
    return status == RT_OK ? init_playback(d) : status;
}

void rt_duplex_reset(rt_duplex *d)
{
    rt_duplex_config config = d->config;
    rt_duplex_init(d, &config);
}

int rt_duplex_process(rt_duplex *d, const void *in, void *out, uint32_t frames) RT_NONBLOCKING
{
    int status = rt_capture_process(d, in, frames);
    return status == RT_OK ? rt_playback_process(d, out, frames) : status;
}

rt_playout *rt_duplex_playout(rt_duplex *d) { return rt_duplex_part(d, d->playback.playout_offset); }

rt_stages *rt_duplex_capture_stages(rt_duplex *d) { return rt_duplex_part(d, d->capture.stages_offset); }

rt_stages *rt_duplex_playback_stages(rt_duplex *d) { return rt_duplex_part(d, d->playback.stages_offset); }

uint32_t rt_duplex_read_records(rt_duplex *d, rt_record *records, uint32_t count)
{
    return rt_ring_read(rt_duplex_part(d, d->capture.records_offset), records, count);
}

uint32_t rt_duplex_read_events(rt_duplex *d, rt_event *events, uint32_t count)
{
    uint32_t n = rt_ring_read(rt_duplex_part(d, d->capture.events_offset), events, count);
    return n + rt_ring_read(rt_duplex_part(d, d->playback.events_offset), events + n, count - n);
}

uint32_t rt_duplex_read_pairs(rt_duplex *d, rt_pair *pairs, uint32_t count)
{
    return d->capture.pairs_offset == 0 ? 0 : rt_ring_read(rt_duplex_part(d, d->capture.pairs_offset), pairs, count);
}

void rt_duplex_arm(rt_duplex *d) { rt_wakeup_arm(&d->wakeup); }

int rt_duplex_set_volume(rt_duplex *d, float volume)
{
    if (!(volume >= 0.0f && volume <= 4.0f))
        return RT_BAD_ARGUMENT;
    uint32_t bits;
    memcpy(&bits, &volume, sizeof bits);
    atomic_store_explicit(&d->volume_bits, bits, memory_order_release);
    return RT_OK;
}

uint64_t rt_capture_position(const rt_duplex *d)
{
    rt_duplex *duplex = (rt_duplex *)(uintptr_t)d;
    rt_capture_stats stats;
    while (rt_board_read(&d->capture.board, &stats, sizeof stats) != RT_OK)
        ; /* the capture half runs for microseconds: this ends */
    double filter = rt_resample_latency(rt_duplex_part(duplex, d->capture.resample_offset));
    return (uint64_t)ceil((double)stats.frames * RT_RATE / d->config.capture_rate_hz + filter * RT_RATE - 1e-6);
}

void rt_duplex_set_mute(rt_duplex *d, int mute, uint64_t position)
{
    atomic_store_explicit(&d->mute, position << 1 | (mute != 0), memory_order_release);
}

void rt_duplex_set_talk(rt_duplex *d, int talk, uint64_t position)
{
    atomic_store_explicit(&d->talk, position << 1 | (talk != 0), memory_order_release);
}

void rt_duplex_set_hold(rt_duplex *d, int hold) { atomic_store_explicit(&d->hold, hold != 0, memory_order_release); }

void rt_duplex_set_turn_open(rt_duplex *d, int open) { atomic_store_explicit(&d->turn_open, open != 0, memory_order_release); }

int rt_duplex_read_reference_stats(const rt_duplex *d, rt_reference_stats *stats)
{
    if (d->capture.reference_offset == 0)
        return RT_BAD_ARGUMENT;
    return rt_reference_read_stats(rt_duplex_part((rt_duplex *)(uintptr_t)d, d->capture.reference_offset), stats);
}

RT_BOARD_FITS(rt_capture_stats);
RT_BOARD_FITS(rt_playback_figures);

int rt_capture_read_stats(const rt_duplex *d, rt_capture_stats *stats)
{
    return rt_board_read(&d->capture.board, stats, sizeof *stats);
}

int rt_duplex_read_hearing_stats(const rt_duplex *d, rt_hearing_stats *stats)
{
    return rt_hearing_read_stats(rt_duplex_part((rt_duplex *)(uintptr_t)d, d->capture.hearing_offset), stats);
}

int rt_playback_read_stats(const rt_duplex *d, rt_playback_stats *stats)
{
    rt_playback_figures figures;
    int status = rt_board_read(&d->playback.board, &figures, sizeof figures);
    if (status != RT_OK)
        return status;
    stats->frames = figures.frames;
    stats->hops = figures.hops;
    stats->lost_events = figures.lost_events;
    stats->limited_hops = figures.limited_hops;
    stats->level_peak = figures.level_peak;
    stats->level_rms = figures.level_rms;
    stats->gain = figures.gain;
    return rt_playout_read_stats(rt_duplex_part((rt_duplex *)(uintptr_t)d, d->playback.playout_offset), &stats->playout);
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* What waiting for whole hops adds when blocks of another size come in or go out. */
static double reblocking(uint32_t rate_hz, uint32_t block_frames)
{
    uint32_t hop = rate_hz / 100;
    return hop == 0 || block_frames == 0 ? 0.0 : (double)(hop - common_divisor(hop, block_frames));
}

double rt_capture_latency(const rt_duplex *d, uint32_t block_frames)
{
    rt_duplex *duplex = (rt_duplex *)(uintptr_t)d;
    double seconds = rt_resample_latency(rt_duplex_part(duplex, d->capture.resample_offset));
    if (d->config.send_format != RT_PCM16)
        seconds += rt_resample_latency(rt_duplex_part(duplex, d->capture.encode_offset));
    seconds += (double)rt_stages_latency(rt_duplex_part(duplex, d->capture.stages_offset)) / RT_RATE;
    seconds += (double)rt_hearing_latency(rt_duplex_part(duplex, d->capture.hearing_offset)) / RT_RATE;
    return seconds * d->config.capture_rate_hz + reblocking(d->config.capture_rate_hz, block_frames);
}

double rt_playback_latency(const rt_duplex *d, uint32_t block_frames)
{
    rt_duplex *duplex = (rt_duplex *)(uintptr_t)d;
    double seconds = rt_resample_latency(rt_duplex_part(duplex, d->playback.resample_offset));
    seconds += rt_playout_latency(rt_duplex_part(duplex, d->playback.playout_offset)) / RT_RATE;
    seconds += (double)rt_stages_latency(rt_duplex_part(duplex, d->playback.stages_offset)) / RT_RATE;
    return seconds * d->config.playback_rate_hz + reblocking(d->config.playback_rate_hz, block_frames);
}
