/* Output n lies n * M / L input samples into the stream. Its integer part says which input sample is the newest one
 * needed, its remainder (`phase`, in L-ths) which row of the table holds the taps. A row is stored oldest sample
 * first and the past is contiguous in memory, so that an output is one straight dot product. J. O. Smith, "Digital
 * Audio Resampling", gives the theory of both kinds of table.
 *
 * Cut-off and window: with 24 periods of the lower rate on either side, beta 8.3 and the cut at 0.99 of the lower
 * Nyquist frequency, the pass band is 0.04 dB down at 0.90 and the stop band 83 dB down at 1.10. The window's first
 * and last point are left out: that costs nothing measurable and makes 48 taps of 49, a whole number of vectors.
 */
#include "resample.h"

#include <math.h>
#include <string.h>

#include "vec.h"

enum {
    LOWEST_RATE = 8000,
    HIGHEST_RATE = 192000,
    HALF_LENGTH = 24,      /* periods of the lower rate: the delay */
    MOST_EXACT_ROWS = 320,
    MOST_TABLE_BYTES = 160 * 1024,
    INTERPOLATED_ROWS = 128, /* per period of the lower rate: images of the interpolation below -95 dB */
    LANES = RT_RESAMPLE_LANES,
    BLOCK = RT_RESAMPLE_BLOCK
};

static const double KAISER_BETA = 8.3;
static const double CUTOFF = 0.99; /* of the lower Nyquist frequency */
static const double PI = 3.14159265358979323846;

static const float LARGEST = 32768.0f; /* so that sound at int16 scale passes too */
static const float SMALLEST = 1.0e-15f;

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static inline uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Fills in everything but the table and the past. Returns the block's size, 0 for rates out of range. */
static size_t lay_out(rt_resample *r, uint32_t rate_in, uint32_t rate_out)
{
    if (rate_in < LOWEST_RATE || rate_in > HIGHEST_RATE || rate_out < LOWEST_RATE || rate_out > HIGHEST_RATE)
        return 0;

    uint32_t common = greatest_common_divisor(rate_in, rate_out);
    size_t end = RT_ALIGN64(sizeof *r);

    memset(r, 0, sizeof *r);
    r->rate_in = rate_in;
    r->rate_out = rate_out;
    r->up = rate_out / common;
    r->down = rate_in / common;
    r->exact = 1;
    if (r->up == r->down)
        return end;

    uint32_t span = larger(r->up, r->down); /* one period of the lower rate, in L-ths of an input sample */
    uint32_t taps = (2 * HALF_LENGTH * span + r->up - 1) / r->up;

    r->taps = (taps + LANES - 1) / LANES * LANES;
    r->exact = r->up <= MOST_EXACT_ROWS && r->up * r->taps * sizeof(float) <= MOST_TABLE_BYTES;
    r->rows = r->exact ? r->up : (uint32_t)(((uint64_t)INTERPOLATED_ROWS * r->up + span - 1) / span);
    r->table_offset = (uint32_t)end;
    end += RT_ALIGN64((r->rows + !r->exact) * r->taps * sizeof(float));
    r->past_offset = (uint32_t)end;
    end += RT_ALIGN64((r->taps - 1 + BLOCK) * sizeof(float));
    return end;
}

/* Modified Bessel function of the first kind, order 0, by its power series; x is below 9 here. */
static double bessel_i0(double x)
{
    double term = 1.0, sum = 1.0;

    for (int k = 1; term > 1.0e-17 * sum; k++) {
        term *= (0.5 * x / k) * (0.5 * x / k);
        sum += term;
    }
    return sum;
}

/* The low-pass kernel, t in periods of the lower rate from its centre, not yet scaled to unit gain. */
static double kernel(double t)
{
    double edge = 1.0 - (t / HALF_LENGTH) * (t / HALF_LENGTH);
    double angle = PI * CUTOFF * t;

    if (edge <= 0.0)
        return 0.0;
    return (fabs(angle) < 1.0e-9 ? 1.0 : sin(angle) / angle) * bessel_i0(KAISER_BETA * sqrt(edge));
}

/* One row, scaled to a sum of 1 so that a constant comes through as itself in every phase. */
static void fill_row(float *row, const rt_resample *r, uint32_t index)
{
    double per_period = (double)larger(r->up, r->down) / r->up; /* input samples in a period of the lower rate */
    double sum = 0.0;

    for (uint32_t i = 0; i < r->taps; i++) {
        double age = (double)(r->taps - 1 - i) + (double)index / r->rows;
        double tap = kernel(age / per_period - HALF_LENGTH);
        row[i] = (float)tap;
        sum += tap;
    }
    for (uint32_t i = 0; i < r->taps; i++)
        row[i] = (float)(row[i] / sum);
}

static inline const float *table_of(const rt_resample *r)
{
    return (const float *)((const char *)r + r->table_offset);
}

static inline float *past_of(rt_resample *r)
{
    return (float *)((char *)r + r->past_offset);
}

size_t rt_resample_size(uint32_t rate_in, uint32_t rate_out)
{
    rt_resample r;

    return lay_out(&r, rate_in, rate_out);
}

int rt_resample_init(rt_resample *r, uint32_t rate_in, uint32_t rate_out)
{
    rt_resample layout;

    if (!r || !lay_out(&layout, rate_in, rate_out))
        return RT_BAD_ARGUMENT;
    *r = layout;
    for (uint32_t row = 0; r->taps && row < r->rows + !r->exact; row++)
        fill_row((float *)((char *)r + r->table_offset) + (size_t)row * r->taps, r, row);
    rt_resample_reset(r);
    return RT_OK;
}

void rt_resample_reset(rt_resample *r)
{
    r->phase = 0;
    r->wait = 0;
    if (r->taps)
        memset(past_of(r), 0, (r->taps - 1 + BLOCK) * sizeof(float));
}

/* Copies samples in, clean (see the header). A comparison with NaN is false. */
static void take(float *restrict out, const float *restrict in, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++) {
        float value = in[i];
        float magnitude = value < 0.0f ? -value : value;
        float clamped = value < LARGEST ? value : LARGEST;
        clamped = clamped > -LARGEST ? clamped : -LARGEST;
        out[i] = magnitude >= SMALLEST ? clamped : 0.0f;
    }
}

static inline float dot(const float *taps, const float *samples, uint32_t count)
{
    rt_vec even = {0}, odd = {0};

    for (uint32_t i = 0; i < count; i += LANES) {
        even += rt_vec_load(taps + i) * rt_vec_load(samples + i);
        odd += rt_vec_load(taps + i + RT_VEC) * rt_vec_load(samples + i + RT_VEC);
    }
    return rt_vec_sum(even + odd);
}

/* The output whose oldest sample stands at `samples`. */
static inline float output(const rt_resample *r, const float *table, const float *samples)
{
    if (r->exact)
        return dot(table + (size_t)r->phase * r->taps, samples, r->taps);

    uint32_t position = r->phase * r->rows; /* below 192000 * 128 */
    uint32_t row = position / r->up;
    float share = (float)(int32_t)(position - row * r->up) / (float)(int32_t)r->up;
    const float *taps = table + (size_t)row * r->taps;
    float before = dot(taps, samples, r->taps), after = dot(taps + r->taps, samples, r->taps);

    return before + share * (after - before);
}

uint32_t rt_resample_process(rt_resample *r, const float *in, uint32_t frames, float *out, uint32_t out_capacity)
{
    if (!r->taps) {
        uint32_t room = frames < out_capacity ? frames : out_capacity;
        take(out, in, room);
        return room;
    }

    const float *table = table_of(r);
    float *past = past_of(r);
    uint32_t history = r->taps - 1, step = r->down / r->up, rest = r->down % r->up, written = 0;

    while (frames) {
        uint32_t now = frames < BLOCK ? frames : BLOCK;
        take(past + history, in, now);
        while (r->wait < now) {
            if (written < out_capacity)
                out[written++] = output(r, table, past + r->wait);
            r->wait += step;
            r->phase += rest;
            if (r->phase >= r->up) {
                r->phase -= r->up;
                r->wait++;
            }
        }
        r->wait -= now;
        memmove(past, past + now, history * sizeof *past);
        in += now;
        frames -= now;
    }
    return written;
}

uint32_t rt_resample_out(const rt_resample *r, uint32_t frames)
{
    uint64_t begin = (uint64_t)r->wait * r->up + r->phase, end = (uint64_t)frames * r->up;

    return end > begin ? (uint32_t)((end - begin + r->down - 1) / r->down) : 0;
}

/* The fewest input samples after which process() will have written out_frames (not 0) more. */
static uint32_t needed(const rt_resample *r, uint32_t out_frames)
{
    return (uint32_t)(r->wait + (r->phase + (uint64_t)(out_frames - 1) * r->down) / r->up + 1);
}

/* Input samples of silence that push the tail out. Going down that is a whole number of outputs, going up of inputs. */
static uint32_t tail_in(const rt_resample *r)
{
    if (!r->taps)
        return 0;
    return r->up > r->down ? HALF_LENGTH : needed(r, HALF_LENGTH);
}

uint32_t rt_resample_tail(const rt_resample *r)
{
    return rt_resample_out(r, tail_in(r));
}

uint32_t rt_resample_flush(rt_resample *r, float *out, uint32_t out_capacity)
{
    float silence[64] = {0};
    uint32_t written = 0;

    for (uint32_t left = tail_in(r), now; left; left -= now) {
        now = left < 64 ? left : 64;
        written += rt_resample_process(r, silence, now, out + written, out_capacity - written);
    }
    rt_resample_reset(r);
    return written;
}

double rt_resample_latency(const rt_resample *r)
{
    return r->taps ? (double)HALF_LENGTH / (r->rate_in < r->rate_out ? r->rate_in : r->rate_out) : 0.0;
}
