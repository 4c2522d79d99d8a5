/* The paced policy of playout.h: packets at the pace they are spoken, late, lost, doubled and out of order. See paced.h. */
#include "g711.h"
#include "pcm.h"
#include "playout_parts.h"

#include <math.h>

#define HOP_US 10000
#define MOST_STEPS 64      /* of a hop: cuts at packets, holes and jumps of the stretcher; what is left then is made up */
#define SOFT 0.01f           /* 20 dB below the loudest */
#define LOUDEST_KEEPS 0.996f /* of its power, in each hop: -17 dB in 10 s */
#define FAINTEST 1e-10f      /* nothing is heard there, and nothing becomes subnormal */
#define SPEECH_HOLD 4        /* hops: gaps in words are no pauses */
#define MOST_PPM 500.0
#define PPM_PER_HOP 0.2    /* the tuning follows the estimate so slowly that no bend is heard */
#define WINDOW_MS 35       /* that the stretcher can use */
#define FADED_HOPS 6       /* of a loss: then it is silent (conceal.h) */

static const float PI_F = 3.14159265358979f;

/* The hop being made. */
typedef struct hop {
    float *out;
    uint32_t made, want; /* samples at RT_RATE */
    uint32_t dead;       /* generations that may not sound, but in a fade */
    int fading;
    int sounded, starved; /* so far */
    int64_t now_us;
    double target_us;
} hop;

/* ---- sound ---- */

static void to_float(const rt_playout *p, const void *bytes, float *out, uint32_t frames)
{
    if (p->config.format == RT_PCM16)
        rt_pcm_to_float(bytes, out, frames);
    else if (p->config.format == RT_ULAW)
        rt_ulaw_decode_float(bytes, out, frames);
    else
        rt_alaw_decode_float(bytes, out, frames);
}

static int may_sound(const rt_playout *p, const hop *h, const rt_packet *packet)
{
    return !packet->is_void && (h->fading ? packet->generation == get32(&p->playing) : packet->generation > h->dead);
}

/* Up to `most` samples from the playhead on, without a hole, that may sound. */
static uint32_t look(rt_playout *p, const hop *h, uint32_t most, float *window)
{
    int16_t wire[RT_STRETCH_AHEAD];
    rt_packet of;
    uint32_t seen = 0, n;
    while (seen < most && (n = rt_packets_peek(&paced_of(p)->packets, seen, most - seen, wire, &of)) > 0 && may_sound(p, h, &of)) {
        to_float(p, wire, window + seen, n);
        seen += n;
    }
    return seen;
}

/* Moves the playhead over `frames` samples that went into the resampler, of which the first `skipped` did not. */
static void consume(rt_playout *p, const hop *h, uint32_t frames, uint32_t skipped)
{
    rt_packet of;
    while (frames > 0) {
        uint32_t n = (uint32_t)rt_packets_pass(&paced_of(p)->packets, skipped > 0 ? least(skipped, frames) : frames, &of);
        set32(&p->playing, of.generation);
        set32(&p->last_item, get32(&p->rows[of.row].item));
        if (h->fading)
            rt_playout_count_faded(p, of.row, n);
        else
            rt_paced_note_sound(p, of.row, n, skipped > 0);
        int64_t waited = (h->now_us - of.arrival_us) * (RT_RATE / 1000) / 1000;
        rt_playout_count_emitted(p, n, waited > 0 ? (uint64_t)waited : 0, (uint64_t)(h->target_us * RT_RATE / 1e6));
        add64(&p->taken, n);
        frames -= n;
        skipped -= least(skipped, n);
    }
}

/* Up to `want` samples of the source into `to`; fewer where they end, or where the stretcher jumps. */
static uint32_t stretch(rt_playout *p, const hop *h, float speed, float *to, uint32_t want)
{
    float window[RT_STRETCH_AHEAD];
    rt_stretch *s = &p->stretch;
    uint32_t times = RT_RATE / p->rate_hz;
    int copies = speed == 1.0f && s->behind == 0 && s->fade_left == 0;
    uint32_t n = look(p, h, copies ? want : p->rate_hz * WINDOW_MS / 1000, window);
    rt_stretch_step step;
    rt_stretch_process(s, window, n, speed, to, want, &step);
    if (!h->fading)
        rt_paced_note_sound(p, RT_LAG_NONE, step.repeated, 0); /* counted when they first sounded */
    consume(p, h, step.consumed, step.removed);
    add64(&p->inserted, step.inserted * times);
    add64(&p->removed, step.removed * times);
    return step.made;
}

static void write_out(rt_playout *p, hop *h, const float *sound, uint32_t n)
{
    rt_conceal_part(&paced_of(p)->conceal, sound, n, h->out + h->made);
    h->made += n;
}

/* What the resampler makes of `n` source samples; what the hop has no room for stays for the next. */
static void resample(rt_playout *p, hop *h, const float *source, uint32_t n)
{
    rt_paced *paced = paced_of(p);
    float sound[RT_HOP + RT_PACED_SURPLUS];
    uint32_t got = rt_resample_process(resampler(p), source, n, sound, RT_HOP + RT_PACED_SURPLUS);
    uint32_t now = least(got, h->want - h->made);
    write_out(p, h, sound, now);
    paced->surplus_count = least(got - now, RT_PACED_SURPLUS);
    memcpy(paced->surplus, sound + now, paced->surplus_count * sizeof *sound);
}

static void write_surplus(rt_playout *p, hop *h)
{
    rt_paced *paced = paced_of(p);
    uint32_t n = least(paced->surplus_count, h->want - h->made);
    write_out(p, h, paced->surplus, n);
    paced->surplus_count -= n;
    memmove(paced->surplus, paced->surplus + n, paced->surplus_count * sizeof *paced->surplus);
}

static uint32_t source_wanted(const rt_playout *p, const hop *h)
{
    uint32_t times = RT_RATE / p->rate_hz;
    return (h->want - h->made + times - 1) / times;
}

/* Plays what is at hand, up to the end of the hop; returns whether anything was. */
static int play(rt_playout *p, hop *h, float speed, int *steps)
{
    float source[RT_HOP];
    uint32_t before = h->made, made = 1;
    while (h->made < h->want && made > 0 && --*steps > 0) {
        made = stretch(p, h, speed, source, source_wanted(p, h));
        resample(p, h, source, made);
    }
    return h->made > before;
}

/* ---- what is not there ---- */

static void make_up(rt_playout *p, hop *h, uint32_t n)
{
    write_out(p, h, NULL, n);
    rt_paced_note_made_up(p, n / (RT_RATE / p->rate_hz));
}

/* Passes over up to `frames` samples' time, whatever is there: a hole, void packets, sound that is skipped. */
static void pass(rt_playout *p, int64_t frames)
{
    rt_packet of;
    for (int i = 0; frames > 0 && i <= RT_PACKETS_MOST; i++) {
        int64_t n = rt_packets_pass(&paced_of(p)->packets, frames, &of);
        rt_paced_discard(p, of.row, (uint32_t)(of.row == RT_LAG_NONE ? 0 : n));
        frames -= n;
    }
    rt_stretch_reset(&p->stretch);
}

/* Time that has no sound passes: of a hole, or of void packets, at most to the end of the hop. */
static void pass_silent(rt_playout *p, hop *h, int64_t most)
{
    uint32_t wanted = source_wanted(p, h), times = RT_RATE / p->rate_hz;
    uint32_t n = most < (int64_t)wanted ? (uint32_t)most : wanted;
    pass(p, n);
    make_up(p, h, least(n * times, h->want - h->made));
}

/* The end of an item is still inside the resampler: silence pushes it out. */
static void ring_out(rt_playout *p, hop *h)
{
    const float silence[RT_HOP] = {0};
    for (uint32_t n; (n = source_wanted(p, h)) > 0;) { /* twice at most: a ppm can cost one sample */
        rt_paced_note_sound(p, RT_LAG_NONE, n, 0);
        resample(p, h, silence, n);
    }
}

/* Sound, and time that was made void, up to the end of the hop or of what is at hand. */
static void play_all(rt_playout *p, hop *h, float speed)
{
    rt_paced *paced = paced_of(p);
    for (int steps = MOST_STEPS; h->made < h->want && steps > 0;) {
        const rt_packet *here = rt_packets_here(&paced->packets);
        if (here == NULL)
            return;
        if (!may_sound(p, h, here))
            pass_silent(p, h, here->position + here->frames - paced->packets.playhead);
        else
            h->sounded |= play(p, h, speed, &steps);
        steps--;
    }
}

/* ---- states ---- */

static void be(rt_playout *p, uint32_t state) { set32(&p->state, state); }

/* Nothing of what is over may be heard later: neither repeated, nor pushed out of the resampler. */
static void be_silent(rt_playout *p)
{
    be(p, RT_SILENT);
    set32(&p->playing, 0);
    rt_stretch_reset(&p->stretch);
    rt_resample_reset(resampler(p));
    rt_playout_drain_lag(p, &p->lag, 0, rt_playout_count_discarded);
    paced_of(p)->surplus_count = 0;
    paced_of(p)->stalling = 0;
}

static void note_underrun(rt_playout *p, hop *h, uint32_t missing)
{
    if (get32(&p->state) == RT_SILENT)
        return; /* nothing was heard that could break off */
    h->starved = 1;
    paced_of(p)->stalling += missing;
    add64(&p->concealed, missing);
    be(p, RT_STARVED);
}

/* Sound goes on: what was missing until now was an underrun. */
static void end_underrun(rt_playout *p)
{
    rt_paced *paced = paced_of(p);
    add64(&p->underruns, paced->stalling > 0);
    add64(&p->stalled, paced->stalling);
    paced->stalling = 0;
}

/* The rest of a hop for which nothing is at hand. */
static void fill_rest(rt_playout *p, hop *h, int action)
{
    uint32_t missing = h->want - h->made;
    if (missing == 0)
        return;
    if (paced_of(p)->ended) {
        ring_out(p, h);
        return;
    }
    if (action != RT_JITTER_START && action != RT_JITTER_QUIET)
        note_underrun(p, h, missing);
    make_up(p, h, missing);
}

static void act(rt_playout *p, hop *h, const rt_jitter_decision *decision, int64_t hole)
{
    rt_paced *paced = paced_of(p);
    int action = decision->action;
    hole -= decision->jump < hole ? decision->jump : hole;
    if (decision->jump > 0) {
        pass(p, decision->jump);
        if (decision->skipped)
            rt_conceal_seam(&paced->conceal);
    }
    if (action == RT_JITTER_LOST || action == RT_JITTER_QUIET) {
        int64_t silent = hole > 0 ? hole : RT_HOP;
        uint32_t before = h->made;
        pass_silent(p, h, silent);
        if (action == RT_JITTER_LOST)
            add64(&p->concealed, h->made - before);
    }
    if (action != RT_JITTER_WAIT && action != RT_JITTER_START)
        play_all(p, h, decision->speed);
    fill_rest(p, h, action);
}

static void follow_drift(rt_playout *p)
{
    rt_paced *paced = paced_of(p);
    rt_jitter_stats stats;
    rt_jitter_read_stats(&paced->jitter, &stats);
    double wanted = fmin(MOST_PPM, fmax(-MOST_PPM, -(double)stats.drift_ppm)), step = wanted - paced->ppm;
    if (fabs(step) < PPM_PER_HOP)
        return;
    paced->ppm += fmin(PPM_PER_HOP, fmax(-PPM_PER_HOP, step));
    rt_resample_tune(resampler(p), paced->ppm);
}

/* Where a change of speed is heard: not in what is far softer than the loudest of the last seconds, pauses above all. */
static void listen(rt_playout *p, const float *out)
{
    rt_paced *paced = paced_of(p);
    float level = rt_pcm_measure(out, RT_HOP).mean_square;
    paced->loudest = fmaxf(level, paced->loudest * LOUDEST_KEEPS);
    if (paced->loudest < FAINTEST)
        paced->loudest = FAINTEST;
    paced->quiet_hops = level > SOFT * paced->loudest ? 0 : paced->quiet_hops + 1;
    paced->speech = paced->quiet_hops < SPEECH_HOLD;
}

/* Which state the hop leaves. While what was made up still sounds it stays, so that an interruption fades it. */
static void note_state(rt_playout *p, const hop *h)
{
    rt_paced *paced = paced_of(p);
    if (h->sounded && !h->starved) {
        end_underrun(p);
        be(p, RT_PLAYING);
    } else if (!h->starved && get32(&p->state) != RT_SILENT && rt_conceal_lost(&paced->conceal) >= FADED_HOPS) {
        be_silent(p);
    } else if (paced->ended && paced->endings == 0 && get32(&p->state) != RT_SILENT) {
        rt_conceal_reset(&paced->conceal); /* all is out, and nothing of it may be repeated later */
        be_silent(p);
    }
}

static void play_on(rt_playout *p, hop *h)
{
    rt_paced *paced = paced_of(p);
    rt_packets_run run;
    rt_jitter_decision decision = {.action = RT_JITTER_QUIET, .speed = 1.0f};
    rt_packets_run_at(&paced->packets, &run);
    if (paced->ended && run.at_hand == 0 && run.hole == 0) {
        fill_rest(p, h, decision.action);
    } else {
        rt_jitter_decide(&paced->jitter, h->now_us, paced->packets.playhead, run.at_hand, run.hole, paced->speech, &decision);
        h->target_us = decision.target_us;
        act(p, h, &decision, run.hole);
    }
    note_state(p, h);
    rt_noise_add(&paced->noise, h->out, decision.action == RT_JITTER_QUIET ? paced->noise_asked : 0.0f);
}

/* ---- an interruption ---- */

static void cut_off(rt_playout *p, uint32_t dead)
{
    rt_paced *paced = paced_of(p);
    rt_conceal_reset(&paced->conceal);
    paced->noise.gain = 0.0f;
    rt_paced_void(p, dead);
    be_silent(p);
}

static void begin_fade(rt_playout *p)
{
    add64(&p->interruptions, 1);
    rt_paced_note_fade(p);
    p->fade_position = 0;
    be(p, RT_FADING);
}

static void fade(rt_playout *p, hop *h)
{
    play_all(p, h, 1.0f);
    if (h->made < h->want)
        make_up(p, h, h->want - h->made);
    for (uint32_t i = 0; i < h->want; i++)
        h->out[i] *= 0.5f + 0.5f * cosf(PI_F * ((float)(p->fade_position + i) + 0.5f) / (float)p->fade_frames);
    memset(h->out + h->want, 0, (RT_HOP - h->want) * sizeof *h->out);
    p->fade_position += h->want;
    if (p->fade_position == p->fade_frames)
        cut_off(p, h->dead);
}

static void publish(rt_playout *p)
{
    rt_paced *paced = paced_of(p);
    rt_jitter_stats s;
    rt_jitter_read_stats(&paced->jitter, &s);
    rt_playout_link link = {s.packets, s.doubled, s.late, s.reordered, s.rebased, s.lost, s.jitter_ms, s.drift_ppm,
                            (float)rt_jitter_target_ms(&paced->jitter), (float)paced->ppm};
    rt_board_publish(&paced->board, &link, sizeof link);
}

RT_BOARD_FITS(rt_playout_link);

void rt_paced_process(rt_playout *p, uint32_t dead, float *out) RT_NONBLOCKING
{
    rt_paced *paced = paced_of(p);
    hop h = {.out = out, .want = RT_HOP, .dead = dead, .now_us = paced->now_us};
    uint32_t playing = get32(&p->playing);
    if (playing != 0 && playing <= dead && get32(&p->state) != RT_FADING)
        begin_fade(p);
    h.fading = get32(&p->state) == RT_FADING;
    if (h.fading)
        h.want = least(RT_HOP, p->fade_frames - p->fade_position);
    rt_paced_take(p, dead, h.fading);
    write_surplus(p, &h);
    if (h.fading) {
        fade(p, &h);
    } else {
        if (dead > paced->voided)
            rt_paced_void(p, dead);
        follow_drift(p);
        play_on(p, &h);
    }
    listen(p, out);
    rt_paced_pass_ends(p);
    publish(p);
    paced->now_us += HOP_US;
}
