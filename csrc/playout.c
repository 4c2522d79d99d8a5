#include "playout.h"

#include "g711.h"
#include "pcm.h"

#include <math.h>
#include <string.h>

#define SOURCE_RATE(format) ((format) == RT_PCM16 ? 24000u : 8000u)
#define MOST_SPANS_PLAYED 512
#define MOST_SPANS_DISCARDED 1024
#define READ_TRIES 1000

static const float PI_F = 3.14159265358979f;

/* ---- atomics with one writer ---- */

static uint64_t get64(const _Atomic uint64_t *value) { return atomic_load_explicit(value, memory_order_acquire); }
static uint32_t get32(const _Atomic uint32_t *value) { return atomic_load_explicit(value, memory_order_acquire); }
static void set64(_Atomic uint64_t *value, uint64_t to) { atomic_store_explicit(value, to, memory_order_release); }
static void set32(_Atomic uint32_t *value, uint32_t to) { atomic_store_explicit(value, to, memory_order_release); }
static void add64(_Atomic uint64_t *value, uint64_t more)
{
    set64(value, atomic_load_explicit(value, memory_order_relaxed) + more);
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* ---- memory ---- */

static rt_resample *resampler(rt_playout *p) { return (rt_resample *)((unsigned char *)p + p->resample_offset); }
static rt_ring *spans(const rt_playout *p) { return (rt_ring *)((unsigned char *)(uintptr_t)p + p->spans_offset); }
static unsigned char *data(rt_playout *p) { return (unsigned char *)p + p->data_offset; }

static int valid(const rt_playout_config *config)
{
    return config->format >= RT_PCM16 && config->format <= RT_ALAW && config->capacity_frames >= RT_HOP &&
           config->capacity_frames <= 24000u * 600u && config->fade_ms >= 1 && config->fade_ms <= 200 && config->start_ms <= 2000 &&
           config->refill_ms <= 2000;
}

static size_t frame_bytes(const rt_playout_config *config) { return config->format == RT_PCM16 ? 2 : 1; }

static size_t resample_size(const rt_playout_config *config)
{
    return config->format == RT_PCM16 ? 0 : RT_ALIGN64(rt_resample_size(8000, RT_RATE));
}

size_t rt_playout_size(const rt_playout_config *config)
{
    if (!valid(config))
        return 0;
    return RT_ALIGN64(sizeof(rt_playout)) + resample_size(config) + rt_ring_size(sizeof(rt_playout_span), RT_PLAYOUT_SPANS) +
           RT_ALIGN64(config->capacity_frames * frame_bytes(config));
}

int rt_playout_init(rt_playout *p, const rt_playout_config *config)
{
    if (!valid(config))
        return RT_BAD_ARGUMENT;
    memset(p, 0, sizeof *p);
    p->config = *config;
    p->frame_bytes = (uint32_t)frame_bytes(config);
    p->rate_hz = SOURCE_RATE(config->format);
    p->hop_frames = p->rate_hz / 100;
    p->capacity = config->capacity_frames;
    p->fade_frames = config->fade_ms * (RT_RATE / 1000);
    p->resample_offset = RT_ALIGN64(sizeof *p);
    p->spans_offset = p->resample_offset + resample_size(config);
    p->data_offset = p->spans_offset + rt_ring_size(sizeof(rt_playout_span), RT_PLAYOUT_SPANS);
    if (config->format != RT_PCM16) {
        if (rt_resample_init(resampler(p), 8000, RT_RATE) != RT_OK)
            return RT_BAD_ARGUMENT;
        p->lag_frames = (uint32_t)ceil(rt_resample_latency(resampler(p)) * 8000.0 - 1e-6);
    }
    int status = rt_ring_init(spans(p), sizeof(rt_playout_span), RT_PLAYOUT_SPANS);
    memset(data(p), 0, (size_t)p->capacity * p->frame_bytes);
    return status;
}

void rt_playout_reset(rt_playout *p)
{
    rt_playout_config config = p->config;
    rt_playout_init(p, &config);
}

/* ---- loop thread ---- */

int rt_playout_open(rt_playout *p, uint32_t generation)
{
    if (generation <= get32(&p->opened))
        return RT_BAD_ARGUMENT;
    set32(&p->opened, generation);
    return RT_OK;
}

uint32_t rt_playout_newest(const rt_playout *p) RT_NONBLOCKING { return get32(&p->opened); }

static rt_playout_row *find_row(rt_playout *p, uint32_t item)
{
    for (int i = 0; i < RT_PLAYOUT_ITEMS; i++)
        if (get32(&p->rows[i].item) == item)
            return &p->rows[i];
    return NULL;
}

static rt_playout_row *new_row(rt_playout *p, uint32_t item, uint32_t generation)
{
    rt_playout_row *row = find_row(p, 0);
    if (row == NULL)
        return NULL;
    row->base_played = get64(&row->played);
    row->base_faded = get64(&row->faded);
    row->base_discarded = get64(&row->discarded);
    row->base_ends = get64(&row->ends);
    set64(&row->queued, 0);
    set32(&row->complete, 0);
    set32(&row->generation, generation);
    set32(&row->item, item);
    return row;
}

static void copy_in(rt_playout *p, uint64_t position, const unsigned char *from, uint32_t frames)
{
    uint32_t at = (uint32_t)(position % p->capacity), first = least(frames, (uint32_t)(p->capacity - at));
    memcpy(data(p) + (size_t)at * p->frame_bytes, from, (size_t)first * p->frame_bytes);
    memcpy(data(p), from + (size_t)first * p->frame_bytes, (size_t)(frames - first) * p->frame_bytes);
}

int64_t rt_playout_push(rt_playout *p, uint32_t item, uint32_t generation, const void *samples, uint32_t frames)
{
    if (item == 0 || generation == 0 || generation > get32(&p->opened))
        return RT_BAD_ARGUMENT;
    rt_playout_row *row = find_row(p, item);
    if (row != NULL && (get32(&row->generation) != generation || get32(&row->complete)))
        return RT_BAD_ARGUMENT;
    uint32_t taken = (uint32_t)(p->capacity - rt_playout_waiting(p));
    taken = least(taken, frames);
    /* one span is kept back, so that the end of an item always finds room behind its samples */
    if (frames > 0 && (taken == 0 || rt_ring_writable(spans(p)) < 2))
        return RT_FULL;
    if (row == NULL && (row = new_row(p, item, generation)) == NULL)
        return RT_FULL;
    if (taken == 0)
        return 0;
    uint64_t pushed = get64(&p->pushed);
    copy_in(p, pushed, samples, taken);
    set64(&p->pushed, pushed + taken);
    add64(&row->queued, taken);
    rt_playout_span span = {(uint32_t)(row - p->rows), generation, taken, 0};
    rt_ring_write(spans(p), &span, 1);
    return taken;
}

int rt_playout_complete(rt_playout *p, uint32_t item)
{
    rt_playout_row *row = item ? find_row(p, item) : NULL;
    if (row == NULL)
        return RT_BAD_ARGUMENT;
    if (get32(&row->complete))
        return RT_OK;
    rt_playout_span span = {(uint32_t)(row - p->rows), get32(&row->generation), 0, 1};
    if (rt_ring_writable(spans(p)) == 0)
        return RT_FULL;
    set32(&row->complete, 1);
    add64(&p->ends_pushed, 1);
    rt_ring_write(spans(p), &span, 1);
    return RT_OK;
}

static void fill_item(const rt_playout_row *row, rt_playout_item *item)
{
    item->item = get32(&row->item);
    item->generation = get32(&row->generation);
    item->complete = (int)get32(&row->complete);
    item->queued = get64(&row->queued);
    item->played = get64(&row->played) - row->base_played;
    item->faded = get64(&row->faded) - row->base_faded;
    item->discarded = get64(&row->discarded) - row->base_discarded;
    item->ended = get64(&row->ends) != row->base_ends;
}

int rt_playout_retire(rt_playout *p, uint32_t item)
{
    rt_playout_row *row = item ? find_row(p, item) : NULL;
    rt_playout_item now;
    if (row == NULL)
        return RT_BAD_ARGUMENT;
    fill_item(row, &now);
    /* an item that sounded and has no end yet may be what the playback thread waits for */
    int open_ended = !now.ended && (now.complete || now.played + now.faded > 0);
    if (now.played + now.faded + now.discarded < now.queued || open_ended)
        return RT_FULL;
    set32(&row->item, 0);
    return RT_OK;
}

void rt_playout_interrupt(rt_playout *p, uint32_t generation)
{
    if (generation > get32(&p->host_latch))
        set32(&p->host_latch, generation);
}

uint64_t rt_playout_waiting(const rt_playout *p) { return get64(&p->pushed) - get64(&p->taken); }

/* ---- playback thread: the ledger ---- */

static void count_played(rt_playout *p, int32_t row, uint32_t frames)
{
    if (row < 0)
        return;
    add64(&p->rows[row].played, frames);
    add64(&p->played, frames);
}

static void count_faded(rt_playout *p, int32_t row, uint32_t frames)
{
    if (row < 0)
        return;
    add64(&p->rows[row].faded, frames);
    add64(&p->faded, frames);
}

static void pop_lag(rt_playout *p, uint32_t keep, void (*count)(rt_playout *, int32_t, uint32_t))
{
    while (p->lag_total > keep) {
        rt_playout_lag *oldest = &p->lag[p->lag_first];
        uint32_t frames = least(oldest->frames, p->lag_total - keep);
        count(p, oldest->row, frames);
        p->lag_total -= frames;
        oldest->frames -= frames;
        if (oldest->frames == 0) {
            p->lag_first = (p->lag_first + 1) % RT_PLAYOUT_LAG;
            p->lag_count--;
        }
    }
}

/* `frames` source samples of `row` (-1: padding) went into the resampler; as many older ones have come out. */
static void count_through_lag(rt_playout *p, int32_t row, uint32_t frames)
{
    if (p->lag_frames == 0) {
        count_played(p, row, frames);
        return;
    }
    if (frames == 0)
        return;
    p->lag[(p->lag_first + p->lag_count) % RT_PLAYOUT_LAG] = (rt_playout_lag){row, frames};
    p->lag_count++;
    p->lag_total += frames;
    /* silence still to follow before the filter has rung out: its whole length, twice the delay */
    p->lag_tail = row >= 0 ? 2 * p->lag_frames : p->lag_tail - least(p->lag_tail, frames);
    pop_lag(p, p->lag_frames, count_played);
}

/* What is inside the resampler comes out inside the fade. */
static void fade_lag(rt_playout *p)
{
    pop_lag(p, 0, count_faded);
    p->lag_tail = 0;
}

/* ---- playback thread: spans ---- */

static int next_span(rt_playout *p)
{
    if (!p->have_span)
        p->have_span = rt_ring_read(spans(p), &p->span, 1) == 1;
    return p->have_span;
}

static void pass_end(rt_playout *p)
{
    add64(&p->rows[p->span.row].ends, 1);
    add64(&p->ends_passed, 1);
    p->have_span = 0;
    p->at_end |= p->span.row == p->last_row; /* not the end of another item, such as a discarded one */
}

static void skip_ends(rt_playout *p, uint32_t dead)
{
    for (int i = 0; i < MOST_SPANS_PLAYED && next_span(p) && p->span.end && p->span.generation > dead; i++)
        pass_end(p);
}

static void discard_span(rt_playout *p)
{
    add64(&p->rows[p->span.row].discarded, p->span.frames);
    add64(&p->discarded, p->span.frames);
    add64(&p->taken, p->span.frames);
    p->have_span = 0;
}

static void discard(rt_playout *p, uint32_t dead)
{
    for (int i = 0; i < MOST_SPANS_DISCARDED && next_span(p) && p->span.generation <= dead; i++)
        if (p->span.end)
            pass_end(p);
        else
            discard_span(p);
}

static void decode(rt_playout *p, uint64_t position, float *out, uint32_t frames)
{
    while (frames > 0) {
        uint32_t at = (uint32_t)(position % p->capacity), n = least(frames, (uint32_t)(p->capacity - at));
        const unsigned char *from = data(p) + (size_t)at * p->frame_bytes;
        if (p->config.format == RT_PCM16)
            rt_pcm_to_float((const int16_t *)(const void *)from, out, n);
        else if (p->config.format == RT_ULAW)
            rt_ulaw_decode_float(from, out, n);
        else
            rt_alaw_decode_float(from, out, n);
        out += n;
        frames -= n;
        position += n;
    }
}

/* Takes up to `want` source samples as float: while fading of the generation that sounds, else of the living ones. */
static uint32_t take(rt_playout *p, uint32_t dead, int fading, float *out, uint32_t want)
{
    uint32_t got = 0;
    for (int i = 0; i < MOST_SPANS_PLAYED && got < want && next_span(p); i++) {
        if (fading && p->span.generation > dead)
            break;
        if (p->span.end) {
            pass_end(p);
            continue;
        }
        if (p->span.generation <= dead && !(fading && p->span.generation == get32(&p->playing))) {
            discard_span(p); /* a late one, between those that sound */
            continue;
        }
        uint32_t n = least(want - got, p->span.frames);
        decode(p, get64(&p->taken), out + got, n);
        add64(&p->taken, n);
        if (fading)
            count_faded(p, (int32_t)p->span.row, n);
        else
            count_through_lag(p, (int32_t)p->span.row, n);
        set32(&p->playing, p->span.generation);
        set32(&p->last_item, get32(&p->rows[p->span.row].item));
        p->at_end = 0;
        p->last_row = p->span.row;
        p->span.frames -= n;
        p->have_span = p->span.frames > 0;
        got += n;
    }
    if (!fading)
        skip_ends(p, dead);
    return got;
}

/* Writes up to `want` samples at RT_RATE (a whole number of source samples) and returns how many there were. */
static uint32_t render(rt_playout *p, uint32_t dead, int fading, float *out, uint32_t want)
{
    if (p->config.format == RT_PCM16)
        return take(p, dead, fading, out, want);
    float source[RT_HOP / 3];
    uint32_t frames = want / 3, got = take(p, dead, fading, source, frames);
    if (got < frames && !fading && p->at_end && p->lag_tail > 0) {
        /* the end of the item is still inside the filter: silence pushes it out */
        memset(source + got, 0, (frames - got) * sizeof *source);
        count_through_lag(p, -1, frames - got);
        got = frames;
    }
    return rt_resample_process(resampler(p), source, got, out, want);
}

/* ---- playback thread: edges ---- */

static void remember(rt_playout *p, const float *out, uint32_t n)
{
    if (n >= RT_PLAYOUT_EDGE) {
        memcpy(p->recent, out + n - RT_PLAYOUT_EDGE, sizeof p->recent);
        p->recent_count = RT_PLAYOUT_EDGE;
        return;
    }
    memmove(p->recent, p->recent + n, (RT_PLAYOUT_EDGE - n) * sizeof *p->recent);
    memcpy(p->recent + RT_PLAYOUT_EDGE - n, out, n * sizeof *out);
    p->recent_count = least(RT_PLAYOUT_EDGE, p->recent_count + n);
}

/* The last sound, backwards under a falling raised cosine, then silence. */
static void write_tail(rt_playout *p, float *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        out[i] = 0.0f;
        if (p->tail_left == 0)
            continue;
        uint32_t k = RT_PLAYOUT_EDGE - p->tail_left--;
        float gain = 0.5f + 0.5f * cosf(PI_F * ((float)k + 0.5f) / RT_PLAYOUT_EDGE);
        if (k < p->recent_count)
            out[i] = gain * p->recent[RT_PLAYOUT_EDGE - 1 - k];
        add64(&p->concealed, 1);
    }
}

static void apply_rise(rt_playout *p, float *out, uint32_t n)
{
    for (uint32_t i = 0; i < n && p->rise_left > 0; i++, p->rise_left--)
        out[i] *= 0.5f + 0.5f * cosf(PI_F * ((float)p->rise_left - 0.5f) / RT_PLAYOUT_EDGE);
}

/* ---- playback thread: states ---- */

static void to_silence(rt_playout *p)
{
    set32(&p->state, RT_SILENT);
    set32(&p->playing, 0);
}

/* After an interruption nothing of the old sound may be left in the filter. */
static void cut_off(rt_playout *p)
{
    if (p->config.format != RT_PCM16)
        rt_resample_reset(resampler(p));
    p->rise_left = 0;
    to_silence(p);
}

static void begin_fade(rt_playout *p)
{
    add64(&p->interruptions, 1);
    fade_lag(p);
    p->fade_position = 0;
    p->fade_dry = 0;
    if (get32(&p->state) == RT_STARVED)
        cut_off(p);
    else
        set32(&p->state, RT_FADING);
}

static void fade(rt_playout *p, uint32_t dead, float *out)
{
    uint32_t n = least(RT_HOP, p->fade_frames - p->fade_position), made = 0;
    /* once dry it stays so: what comes later would begin with a click, and is discarded */
    if (!p->fade_dry) {
        made = render(p, dead, 1, out, n);
        apply_rise(p, out, made);
        remember(p, out, made);
        p->fade_dry = made < n;
        p->tail_left = p->fade_dry ? RT_PLAYOUT_EDGE : 0;
    }
    write_tail(p, out + made, RT_HOP - made);
    for (uint32_t i = 0; i < n; i++)
        out[i] *= 0.5f + 0.5f * cosf(PI_F * ((float)(p->fade_position + i) + 0.5f) / (float)p->fade_frames);
    memset(out + n, 0, (RT_HOP - n) * sizeof *out);
    p->fade_position += n;
    if (p->fade_position < p->fade_frames)
        return;
    discard(p, dead);
    p->tail_left = 0;
    cut_off(p);
}

static int enough(rt_playout *p, uint32_t wanted_ms)
{
    uint64_t wanted = (uint64_t)wanted_ms * p->rate_hz / 1000;
    /* a queue that can take no more will never hold more */
    int full = rt_playout_waiting(p) >= p->capacity || rt_ring_readable(spans(p)) + 2 >= RT_PLAYOUT_SPANS;
    return full || rt_playout_waiting(p) >= wanted || get64(&p->ends_pushed) != get64(&p->ends_passed);
}

/* From silence or starvation to sound, when what the configuration asks for is at hand. */
static void try_start(rt_playout *p, uint32_t dead)
{
    uint32_t state = get32(&p->state);
    skip_ends(p, dead);
    int have = next_span(p) && !p->span.end && p->span.generation > dead;
    if (!have && state == RT_STARVED && p->at_end && p->lag_tail == 0)
        to_silence(p); /* nothing was missing: only the end came late */
    if (!have && !(state == RT_STARVED && p->at_end && p->lag_tail > 0))
        return;
    if (p->tail_left > 0 || (have && !enough(p, state == RT_STARVED ? p->config.refill_ms : p->config.start_ms)))
        return;
    if (state == RT_STARVED) {
        add64(&p->underruns, have ? 1 : 0);
        p->rise_left = RT_PLAYOUT_EDGE;
    }
    p->recent_count = 0; /* a tail must not reach back over the gap */
    set32(&p->state, RT_PLAYING);
}

static void play(rt_playout *p, uint32_t dead, float *out)
{
    uint32_t n = render(p, dead, 0, out, RT_HOP);
    apply_rise(p, out, n);
    remember(p, out, n); /* as it left, so that a tail joins on */
    int all_out = p->at_end && p->lag_tail == 0 && !(next_span(p) && p->span.generation > dead);
    if (all_out) {
        memset(out + n, 0, (RT_HOP - n) * sizeof *out);
        p->rise_left = 0;
        to_silence(p);
    } else if (n < RT_HOP) {
        p->tail_left = RT_PLAYOUT_EDGE;
        p->rise_left = 0;
        write_tail(p, out + n, RT_HOP - n);
        set32(&p->state, RT_STARVED);
    }
}

uint32_t rt_playout_process(rt_playout *p, uint32_t latch, float *out) RT_NONBLOCKING
{
    set32(&p->sequence, get32(&p->sequence) + 1);
    uint32_t host = get32(&p->host_latch), dead = latch > host ? latch : host, playing = get32(&p->playing);
    if (playing != 0 && playing <= dead && get32(&p->state) != RT_FADING)
        begin_fade(p);
    if (get32(&p->state) == RT_FADING) {
        fade(p, dead, out);
    } else {
        discard(p, dead);
        if (get32(&p->state) != RT_PLAYING)
            try_start(p, dead);
        if (get32(&p->state) == RT_PLAYING)
            play(p, dead, out);
        else
            write_tail(p, out, RT_HOP);
    }
    add64(&p->output, RT_HOP);
    set32(&p->sequence, get32(&p->sequence) + 1);
    return get32(&p->playing);
}

/* ---- reading ---- */

/* Whether a read that began at `begun` saw one state of the playback thread. */
static int whole(const rt_playout *p, uint32_t begun) { return (begun & 1) == 0 && get32(&p->sequence) == begun; }

int rt_playout_read_item(const rt_playout *p, uint32_t item, rt_playout_item *out)
{
    const rt_playout_row *row = item ? find_row((rt_playout *)(uintptr_t)p, item) : NULL;
    if (row == NULL)
        return RT_BAD_ARGUMENT;
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t begun = get32(&p->sequence);
        fill_item(row, out);
        if (whole(p, begun))
            return RT_OK;
    }
    return RT_FULL;
}

static void fill_stats(const rt_playout *p, rt_playout_stats *stats)
{
    stats->state = (int)get32(&p->state);
    stats->generation = get32(&p->playing);
    stats->item = get32(&p->last_item);
    stats->output = get64(&p->output);
    stats->queued = get64(&p->pushed);
    stats->played = get64(&p->played);
    stats->faded = get64(&p->faded);
    stats->discarded = get64(&p->discarded);
    stats->concealed = get64(&p->concealed);
    stats->underruns = get64(&p->underruns);
    stats->interruptions = get64(&p->interruptions);
}

int rt_playout_read_stats(const rt_playout *p, rt_playout_stats *stats)
{
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t begun = get32(&p->sequence);
        fill_stats(p, stats);
        if (whole(p, begun))
            return RT_OK;
    }
    return RT_FULL;
}

double rt_playout_latency(const rt_playout *p) { return p->lag_frames * (double)RT_RATE / p->rate_hz; }
