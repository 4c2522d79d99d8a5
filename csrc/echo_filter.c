#include "echo_filter.h"
#include "ftz.h"
#include "tame.h"

#include <math.h>
#include <string.h>

#define KEEPS 0.9985f     /* of the power of a tap, per block: the room changes */
#define NEAR_KEEPS 0.92f  /* of the power of what is left, per block: 60 ms */
#define MEETING 12        /* blocks from which the start is judged, 60 ms */
#define SOUNDS 1e-6f      /* mean square of a block that sounds */
#define START 0.7f        /* of the microphone's power over the reference's: how uncertain a tap is at the peak */
#define MOVED 0.5f       /* of that, after a move, and after a jump */
#define JUMPED 0.05f
#define FALLS 0.7f        /* per partition away from it */
#define LEAST_START 0.5f
#define MOST_START 100.0f
#define PEAK_PART (RT_ECHO_LEAD * RT_HOP / RT_ECHO_BLOCK)
#define CAUSAL_PARTS (RT_ECHO_PARTS / 4)
#define TINY 1e-9f

size_t rt_echo_filter_size(void) { return RT_ALIGN64(sizeof(rt_echo_filter)); }

int rt_echo_filter_init(rt_echo_filter *f)
{
    memset(f, 0, sizeof *f);
    return rt_fft_init(&f->fft, RT_ECHO_FFT);
}

void rt_echo_filter_reset(rt_echo_filter *f) { rt_echo_filter_init(f); }

static void to_spectrum(const rt_echo_filter *f, const float *frame, rt_echo_spectrum *out)
{
    float re[RT_FFT_BINS], im[RT_FFT_BINS];
    rt_fft_forward(&f->fft, frame, re, im);
    memcpy(out->re, re, sizeof out->re);
    memcpy(out->im, im, sizeof out->im);
}

static void to_sound(const rt_echo_filter *f, const rt_echo_spectrum *in, float *frame)
{
    float re[RT_FFT_BINS] = {0}, im[RT_FFT_BINS] = {0};
    memcpy(re, in->re, sizeof in->re);
    memcpy(im, in->im, sizeof in->im);
    rt_fft_backward(&f->fft, re, im, frame);
}

/* The reference's frame that ended `ago` samples before the newest. */
static const float *frame_of(const rt_echo_filter *f, uint32_t ago) { return f->past + RT_ECHO_PAST - RT_ECHO_FFT - f->lag - ago; }

static rt_echo_spectrum *heard_by(rt_echo_filter *f, uint32_t part)
{
    return &f->heard[(f->newest + part) % RT_ECHO_PARTS];
}

/* How uncertain the taps are when nothing is known but how much louder the microphone was than the reference. */
static void doubt(rt_echo_filter *f, float share)
{
    float mic = 0.0f, ref = 0.0f;
    for (uint32_t k = 0; k < RT_ECHO_ROW; k++) {
        mic += f->met_mic[k];
        ref += f->met_ref[k];
    }
    float ratio = ref > 0.0f ? 2.0f * mic / ref : 0.0f, start;
    ratio = ratio < LEAST_START ? LEAST_START : ratio > MOST_START ? MOST_START : ratio;
    for (uint32_t p = 0; p < RT_ECHO_PARTS; p++) {
        int away = (int)p - PEAK_PART;
        start = share * START * ratio * powf(FALLS, (float)(away < 0 ? -away : away));
        for (uint32_t k = 0; k < RT_ECHO_ROW; k++) {
            float re = f->taps[p].re[k], im = f->taps[p].im[k];
            f->unsure[p][k] = re * re + im * im + start;
        }
    }
}

/* Samples by which the reference is older now. */
static int look_at(rt_echo_filter *f, int lag)
{
    const int most = RT_ECHO_FARTHEST * RT_HOP;
    lag = lag < 0 ? 0 : lag > most ? most : lag;
    int moved = lag - (int)f->lag;
    f->lag = (uint32_t)lag;
    if (moved != 0)
        for (uint32_t p = 0; p < RT_ECHO_PARTS; p++)
            to_spectrum(f, frame_of(f, p * RT_ECHO_BLOCK), heard_by(f, p));
    return moved;
}

static void move_to(rt_echo_filter *f, int lag, float share)
{
    uint64_t mode = rt_ftz_begin();
    look_at(f, lag); /* where it was, at either end: the echo has moved all the same */
    if (f->met == MEETING)
        doubt(f, share);
    rt_ftz_end(mode);
}

void rt_echo_filter_move(rt_echo_filter *f, int hops) RT_NONBLOCKING
{
    hops = hops < 0 ? 0 : hops > RT_ECHO_FARTHEST ? RT_ECHO_FARTHEST : hops;
    move_to(f, hops * RT_HOP, MOVED);
}

void rt_echo_filter_jump(rt_echo_filter *f, int samples) RT_NONBLOCKING
{
    const int most = RT_ECHO_FARTHEST * RT_HOP;
    samples = samples < -most ? -most : samples > most ? most : samples;
    move_to(f, (int)f->lag + samples, JUMPED);
}

/* One partition from another that is `by` further on; beyond the ends there is nothing, and less and less to learn. */
static void fetch(rt_echo_filter *f, int to, int by)
{
    int from = to + by, end = from < 0 ? 0 : RT_ECHO_PARTS - 1;
    if (from >= 0 && from < RT_ECHO_PARTS) {
        f->taps[to] = f->taps[from];
        memcpy(f->unsure[to], f->unsure[from], sizeof f->unsure[to]);
        return;
    }
    memset(&f->taps[to], 0, sizeof f->taps[to]);
    for (uint32_t k = 0; k < RT_ECHO_ROW; k++)
        f->unsure[to][k] = FALLS * f->unsure[end][k];
}

void rt_echo_filter_shift(rt_echo_filter *f, int hops) RT_NONBLOCKING
{
    uint64_t mode = rt_ftz_begin();
    hops = hops < -RT_ECHO_FARTHEST ? -RT_ECHO_FARTHEST : hops > RT_ECHO_FARTHEST ? RT_ECHO_FARTHEST : hops;
    int lag = (int)f->lag + hops * RT_HOP, by = lag < 0 || lag > RT_ECHO_FARTHEST * RT_HOP ? 0 : look_at(f, lag) / RT_ECHO_BLOCK;
    for (int i = 0; by != 0 && i < RT_ECHO_PARTS; i++)
        fetch(f, by > 0 ? i : RT_ECHO_PARTS - 1 - i, by);
    rt_ftz_end(mode);
}

static void estimate(rt_echo_filter *f, float *echo)
{
    rt_echo_spectrum sum;
    float frame[RT_ECHO_FFT];
    memset(&sum, 0, sizeof sum);
    for (uint32_t p = 0; p < RT_ECHO_PARTS; p++) {
        const rt_echo_spectrum *x = heard_by(f, p), *w = &f->taps[p];
        for (uint32_t k = 0; k < RT_ECHO_ROW; k++) {
            sum.re[k] += x->re[k] * w->re[k] - x->im[k] * w->im[k];
            sum.im[k] += x->re[k] * w->im[k] + x->im[k] * w->re[k];
        }
    }
    to_sound(f, &sum, frame);
    memcpy(echo, frame + RT_ECHO_BLOCK, RT_ECHO_BLOCK * sizeof *echo);
}

static void learn(rt_echo_filter *f, const rt_echo_spectrum *left)
{
    const float news = 1.0f - KEEPS;
    float total[RT_ECHO_ROW], power[RT_ECHO_PARTS][RT_ECHO_ROW];
    for (uint32_t k = 0; k < RT_ECHO_ROW; k++) {
        f->near[k] = NEAR_KEEPS * f->near[k] + (1.0f - NEAR_KEEPS) * (left->re[k] * left->re[k] + left->im[k] * left->im[k]);
        total[k] = f->near[k] + TINY;
    }
    for (uint32_t p = 0; p < RT_ECHO_PARTS; p++) {
        const rt_echo_spectrum *x = heard_by(f, p);
        for (uint32_t k = 0; k < RT_ECHO_ROW; k++) {
            power[p][k] = 0.5f * (x->re[k] * x->re[k] + x->im[k] * x->im[k]);
            total[k] += f->unsure[p][k] * power[p][k];
        }
    }
    for (uint32_t k = 0; k < RT_ECHO_ROW; k++)
        total[k] = 1.0f / total[k];
    for (uint32_t p = 0; p < RT_ECHO_PARTS; p++) {
        const rt_echo_spectrum *x = heard_by(f, p);
        rt_echo_spectrum *w = &f->taps[p];
        float *unsure = f->unsure[p];
        for (uint32_t k = 0; k < RT_ECHO_ROW; k++) {
            float step = unsure[k] * total[k];
            float re = w->re[k] + step * (x->re[k] * left->re[k] + x->im[k] * left->im[k]);
            float im = w->im[k] + step * (x->re[k] * left->im[k] - x->im[k] * left->re[k]);
            w->re[k] = re;
            w->im[k] = im;
            unsure[k] = KEEPS * (1.0f - step * power[p][k]) * unsure[k] + news * (re * re + im * im);
        }
    }
}

/* A partition's taps are 5 ms long: what lies beyond came from the circle of the transform. */
static void hold_causal(rt_echo_filter *f)
{
    float frame[RT_ECHO_FFT];
    for (uint32_t i = 0; i < CAUSAL_PARTS; i++, f->turn = (f->turn + 1) % RT_ECHO_PARTS) {
        to_sound(f, &f->taps[f->turn], frame);
        memset(frame + RT_ECHO_BLOCK, 0, RT_ECHO_BLOCK * sizeof *frame);
        to_spectrum(f, frame, &f->taps[f->turn]);
    }
}

/* The beginning: how loud the echo may be, from the first 60 ms in which both sound. */
static void meet(rt_echo_filter *f, const rt_echo_spectrum *left)
{
    const rt_echo_spectrum *x = heard_by(f, 0);
    for (uint32_t k = 0; k < RT_ECHO_ROW; k++) {
        f->met_mic[k] += left->re[k] * left->re[k] + left->im[k] * left->im[k];
        f->met_ref[k] += x->re[k] * x->re[k] + x->im[k] * x->im[k];
    }
    if (++f->met < MEETING)
        return;
    doubt(f, 1.0f);
    for (uint32_t k = 0; k < RT_ECHO_ROW; k++) /* somebody may be talking: all of it, until an echo is known */
        f->near[k] = f->met_mic[k] / MEETING;
}

static float mean_square(const float *x)
{
    float sum = 0.0f;
    for (uint32_t i = 0; i < RT_ECHO_BLOCK; i++)
        sum += x[i] * x[i];
    return sum / RT_ECHO_BLOCK;
}

static void block(rt_echo_filter *f, uint32_t ago, const float *microphone, float *left, float *echo)
{
    rt_echo_spectrum rest;
    float frame[RT_ECHO_FFT] = {0};
    f->newest = (f->newest + RT_ECHO_PARTS - 1) % RT_ECHO_PARTS;
    to_spectrum(f, frame_of(f, ago), heard_by(f, 0));
    int sounds = mean_square(frame_of(f, ago) + RT_ECHO_BLOCK) > SOUNDS;
    f->active = sounds ? RT_ECHO_PARTS : f->active - (f->active > 0);
    estimate(f, echo);
    for (uint32_t i = 0; i < RT_ECHO_BLOCK; i++)
        left[i] = frame[RT_ECHO_BLOCK + i] = microphone[i] - echo[i];
    if (f->active == 0)
        return; /* nothing to learn from, and nothing that could be heard */
    to_spectrum(f, frame, &rest);
    if (f->met < MEETING) {
        if (sounds && mean_square(left) > SOUNDS)
            meet(f, &rest);
        return;
    }
    learn(f, &rest);
    hold_causal(f);
}

void rt_echo_filter_process(rt_echo_filter *f, const float *reference, const float *microphone, float *left, float *echo) RT_NONBLOCKING
{
    float mic[RT_HOP];
    uint64_t mode = rt_ftz_begin();
    memmove(f->past, f->past + RT_HOP, (RT_ECHO_PAST - RT_HOP) * sizeof *f->past);
    for (uint32_t i = 0; i < RT_HOP; i++) {
        f->past[RT_ECHO_PAST - RT_HOP + i] = rt_tame(reference[i]);
        mic[i] = rt_tame(microphone[i]);
    }
    for (uint32_t at = 0; at < RT_HOP; at += RT_ECHO_BLOCK)
        block(f, RT_HOP - RT_ECHO_BLOCK - at, mic + at, left + at, echo + at);
    rt_ftz_end(mode);
}

uint32_t rt_echo_filter_lag(const rt_echo_filter *f) RT_NONBLOCKING { return f->lag; }

uint32_t rt_echo_filter_latency(const rt_echo_filter *f)
{
    (void)f;
    return 0;
}
