/* The playback thread's side of playout.h: takes spans from the queue, turns them into sound, keeps the ledger of what became of them. */
#include "g711.h"
#include "pcm.h"
#include "playout_parts.h"

#include <math.h>

#define MOST_SPANS_PLAYED 512
#define MOST_SPANS_DISCARDED 1024
#define SLOW 0.94f
#define SLOW_BELOW_MS 150
#define AHEAD_MS 5 /* what stretch.h needs to jump back */

static const float PI_F = 3.14159265358979f;

/* ---- the ledger ---- */

/* `frames` source samples of `row` (none: padding or a repeat) went into the resampler; as many older ones have come out. */
static void count_through_lag(rt_playout *p, int32_t row, uint32_t frames)
{
    if (frames == 0)
        return;
    rt_lag_push(&p->lag, row, frames);
    /* silence still to follow before the filter has rung out: its whole length, twice the delay */
    p->lag_tail = row >= 0 ? 2 * p->lag.delay : p->lag_tail - least(p->lag_tail, frames);
    rt_playout_drain_lag(p, &p->lag, p->lag.delay, rt_playout_count_played);
}

/* What is inside the resampler comes out inside the fade. */
static void fade_lag(rt_playout *p)
{
    rt_playout_drain_lag(p, &p->lag, 0, rt_playout_count_faded);
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
    rt_playout_count_discarded(p, (int32_t)p->span.row, p->span.frames);
    add64(&p->taken, p->span.frames);
    p->read += p->span.frames;
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

/* ---- the stage ---- */

static void stage_span(rt_playout *p, uint32_t most)
{
    rt_playout_stage *stage = &p->stage;
    uint32_t n = least(most, p->span.frames);
    rt_playout_span *part = &stage->parts[(stage->first + stage->count++) % RT_PLAYOUT_STAGE];
    *part = p->span;
    part->frames = n;
    decode(p, p->read, stage->sound + stage->frames, n);
    p->read += n;
    stage->frames += n;
    p->span.frames -= n;
    p->have_span = p->span.frames > 0;
    p->at_end = 0;
    p->last_row = part->row;
    set32(&p->playing, part->generation);
    set32(&p->last_item, get32(&p->rows[part->row].item));
}

/* Brings the stage to `want` samples: while fading of the generation that sounds, else of the living ones. An end, and another
 * generation, wait until the stage is empty. *budget: spans that may still be touched in this hop. */
static void fill_stage(rt_playout *p, uint32_t dead, int fading, uint32_t want, int *budget)
{
    rt_playout_stage *stage = &p->stage;
    for (; *budget > 0 && stage->frames < want && next_span(p); --*budget) {
        if (fading && p->span.generation > dead)
            return;
        if (p->span.end) {
            if (stage->frames > 0)
                return;
            pass_end(p);
        } else if (p->span.generation <= dead && !(fading && p->span.generation == get32(&p->playing))) {
            discard_span(p); /* a late one, between those that sound */
        } else if (stage->frames > 0 && p->span.generation != get32(&p->playing)) {
            return;
        } else {
            stage_span(p, want - stage->frames);
        }
    }
}

/* Takes `frames` off the front of the stage, and tells `count` whose they were. */
static void unstage(rt_playout *p, uint32_t frames, rt_playout_count *count)
{
    rt_playout_stage *stage = &p->stage;
    stage->frames -= frames;
    memmove(stage->sound, stage->sound + frames, stage->frames * sizeof *stage->sound);
    add64(&p->taken, frames);
    while (frames > 0) {
        rt_playout_span *part = &stage->parts[stage->first];
        uint32_t n = least(frames, part->frames);
        count(p, (int32_t)part->row, n);
        if (count != rt_playout_count_discarded)
            rt_playout_count_emitted(p, n, get64(&p->output) - part->arrived, p->target);
        frames -= n;
        part->frames -= n;
        if (part->frames == 0) {
            stage->first = (stage->first + 1) % RT_PLAYOUT_STAGE;
            stage->count--;
        }
    }
}

/* Takes up to `want` samples of the source, stretched: see fill_stage for which. */
static uint32_t take(rt_playout *p, uint32_t dead, int fading, float *out, uint32_t want)
{
    uint32_t got = 0, ahead = p->rate != 1.0f ? p->rate_hz * AHEAD_MS / 1000 : 0, times = RT_RATE / p->rate_hz;
    for (int budget = MOST_SPANS_PLAYED; got < want;) {
        rt_stretch_step step;
        fill_stage(p, dead, fading, want - got + ahead, &budget);
        rt_stretch_process(&p->stretch, p->stage.sound, p->stage.frames, p->rate, out + got, want - got, &step);
        if (step.made == 0)
            break;
        if (!fading)
            count_through_lag(p, RT_LAG_NONE, step.repeated); /* counted when they first sounded */
        unstage(p, step.consumed, fading ? rt_playout_count_faded : count_through_lag);
        add64(&p->inserted, step.inserted * times);
        add64(&p->removed, step.removed * times);
        got += step.made;
    }
    if (!fading && p->stage.frames == 0)
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
        count_through_lag(p, RT_LAG_NONE, frames - got);
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
    unstage(p, p->stage.frames, rt_playout_count_discarded);
    rt_edge_reset(&p->edge);
    to_silence(p);
}

static void begin_fade(rt_playout *p)
{
    add64(&p->interruptions, 1);
    p->rate = 1.0f;
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
    cut_off(p);
    discard(p, dead);
}

static int end_waits(const rt_playout *p) { return get64(&p->ends_pushed) != get64(&p->ends_passed); }

/* Source samples to have at hand before sound begins: those the configuration asks for, or those arrivals so far advise. */
static uint32_t wanted_for(const rt_playout *p, uint32_t state)
{
    uint32_t told = (state == RT_STARVED ? p->config.refill_ms : p->config.start_ms) * (p->rate_hz / 1000);
    const rt_playout_row *row = &p->rows[p->span.row];
    uint32_t advised = state == RT_STARVED ? get32(&p->refill) : get64(&p->output) < get64(&row->start_at) ? get32(&row->start) : 0;
    return told > advised ? told : advised;
}

static int enough(rt_playout *p, uint32_t wanted)
{
    /* a queue that can take no more will never hold more */
    int full = rt_playout_waiting(p) >= p->capacity || rt_ring_readable(spans(p)) + 2 >= RT_PLAYOUT_SPANS;
    return full || rt_playout_waiting(p) >= wanted || end_waits(p);
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
    uint32_t wanted = have ? wanted_for(p, state) : 0;
    if (rt_edge_has_tail(&p->edge) || (have && !enough(p, wanted)))
        return;
    rt_stretch_reset(&p->stretch);
    p->target = wanted * (RT_RATE / p->rate_hz);
    if (state == RT_STARVED) {
        add64(&p->underruns, have ? 1 : 0);
        add64(&p->stalled, have ? p->stalling : 0);
        rt_edge_rise(&p->edge);
    } else {
        rt_edge_reset(&p->edge);
    }
    set32(&p->state, RT_PLAYING);
}

static float rate(const rt_playout *p)
{
    uint64_t half = p->capacity / 2, little = p->rate_hz * SLOW_BELOW_MS / 1000; /* a small queue is little even when full */
    return p->config.policy == RT_PLAYOUT_BURST && rt_playout_waiting(p) < (little < half ? little : half) && !end_waits(p) ? SLOW : 1.0f;
}

static void play(rt_playout *p, uint32_t dead, float *out)
{
    p->rate = rate(p);
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
        p->stalling = RT_HOP - n;
        set32(&p->state, RT_STARVED);
    }
}

static void stall(rt_playout *p, float *out)
{
    write_tail(p, out, RT_HOP);
    p->stalling += RT_HOP;
}

static void process(rt_playout *p, uint32_t dead, float *out)
{
    uint32_t playing = get32(&p->playing);
    if (playing != 0 && playing <= dead && get32(&p->state) != RT_FADING)
        begin_fade(p);
    if (get32(&p->state) == RT_FADING) {
        fade(p, dead, out);
        return;
    }
    discard(p, dead);
    if (get32(&p->state) != RT_PLAYING)
        try_start(p, dead);
    if (get32(&p->state) == RT_PLAYING)
        play(p, dead, out);
    else
        stall(p, out);
}

uint32_t rt_playout_process(rt_playout *p, uint32_t latch, float *out) RT_NONBLOCKING
{
    set32(&p->sequence, get32(&p->sequence) + 1);
    uint32_t host = get32(&p->host_latch), dead = latch > host ? latch : host;
    (p->config.policy == RT_PLAYOUT_PACED ? rt_paced_process : process)(p, dead, out);
    add64(&p->output, RT_HOP);
    set32(&p->sequence, get32(&p->sequence) + 1);
    return get32(&p->playing);
}

void rt_playout_clock(rt_playout *p, int64_t now_us) RT_NONBLOCKING
{
    if (p->config.policy == RT_PLAYOUT_PACED)
        paced_of(p)->now_us = now_us;
}
