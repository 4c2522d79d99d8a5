/* The playback thread's side of playout.h: takes spans from the queue, turns them into sound, keeps the ledger of what became of them. */
#include "g711.h"
#include "pcm.h"
#include "playout_parts.h"

#include <math.h>

#define MOST_SPANS_PLAYED 512
#define MOST_SPANS_DISCARDED 1024

static const float PI_F = 3.14159265358979f;

/* ---- the ledger ---- */

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

/* ---- spans ---- */

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

/* ---- states ---- */

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
    rt_edge_reset(&p->edge);
    to_silence(p);
}

static void begin_fade(rt_playout *p)
{
    add64(&p->interruptions, 1);
    fade_lag(p);
    p->fade_position = 0;
    p->fade_dry = get32(&p->state) == RT_STARVED; /* of what ran dry at most the tail sounds */
    if (p->fade_dry && !rt_edge_has_tail(&p->edge))
        cut_off(p);
    else
        set32(&p->state, RT_FADING);
}

static void write_tail(rt_playout *p, float *out, uint32_t n) { add64(&p->concealed, rt_edge_tail(&p->edge, out, n)); }

static void fade(rt_playout *p, uint32_t dead, float *out)
{
    uint32_t n = least(RT_HOP, p->fade_frames - p->fade_position), made = 0;
    /* once dry it stays so: what comes later would begin with a click, and is discarded */
    if (!p->fade_dry) {
        made = render(p, dead, 1, out, n);
        rt_edge_process(&p->edge, out, made);
        p->fade_dry = made < n;
        if (p->fade_dry)
            rt_edge_break(&p->edge);
    }
    write_tail(p, out + made, n - made);
    for (uint32_t i = 0; i < n; i++)
        out[i] *= 0.5f + 0.5f * cosf(PI_F * ((float)(p->fade_position + i) + 0.5f) / (float)p->fade_frames);
    memset(out + n, 0, (RT_HOP - n) * sizeof *out);
    p->fade_position += n;
    if (p->fade_position < p->fade_frames)
        return;
    discard(p, dead);
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
    if (rt_edge_has_tail(&p->edge) || (have && !enough(p, state == RT_STARVED ? p->config.refill_ms : p->config.start_ms)))
        return;
    if (state == RT_STARVED) {
        add64(&p->underruns, have ? 1 : 0);
        rt_edge_rise(&p->edge);
    } else {
        rt_edge_reset(&p->edge);
    }
    set32(&p->state, RT_PLAYING);
}

static void play(rt_playout *p, uint32_t dead, float *out)
{
    uint32_t n = render(p, dead, 0, out, RT_HOP);
    rt_edge_process(&p->edge, out, n);
    int all_out = p->at_end && p->lag_tail == 0 && !(next_span(p) && p->span.generation > dead);
    if (all_out) {
        memset(out + n, 0, (RT_HOP - n) * sizeof *out);
        rt_edge_reset(&p->edge);
        to_silence(p);
    } else if (n < RT_HOP) {
        rt_edge_break(&p->edge);
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
