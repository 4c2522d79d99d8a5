/* Output n lies n * M / L input samples into the stream. Its integer part says which input sample is the newest one
 * needed, its remainder (`phase`) which row of the table holds the taps. A row is stored oldest sample first and the
 * past is contiguous in memory, so that an output is one straight dot product. J. O. Smith, "Digital Audio
 * Resampling", gives the theory of both kinds of table.
 *
 * Cut-off and window. Live: with 24 periods of the lower rate on either side, beta 8.3 and the cut at 0.99 of the lower
 * Nyquist frequency, the pass band is 0.04 dB down at 0.90 and the stop band 83 dB down at 1.10. File: 80 periods, beta
 * 12 and the cut at 1.0 leave nothing to measure at 0.95 and 117 dB at 1.05.
 *
 * Between rows 1/128 of a period apart a tone at the Nyquist frequency is interpolated with an error of -85 dB by a
 * line and of -161 dB by a cubic: each lies below what its filter lets through.
 */
#include "resample.h"

#include <math.h>
#include <string.h>

#include "kaiser.h"
#include "pcm.h"
#include "vec.h"

enum {
    LOWEST_RATE = 8000,
    HIGHEST_RATE = 192000,
    MOST_EXACT_ROWS = 320,
    MOST_TABLE_BYTES = 160 * 1024,
    INTERPOLATED_ROWS = 128, /* per period of the lower rate */
    PER_PPM = 1000,          /* steps of the tuning */
    TUNING_UNITS = 1000000 * PER_PPM,
    FRAMES_AT_ONCE = 65536,  /* so many input samples, in units, fit into 64 bits */
    LANES = RT_RESAMPLE_LANES,
    BLOCK = RT_RESAMPLE_BLOCK
};

static const struct filter {
    rt_kaiser shape;
    uint32_t points; /* rows to interpolate with where phases are not exact */
} filters[] = {
    [RT_RESAMPLE_LIVE] = {{24, 8.3, 0.99}, 2},
    [RT_RESAMPLE_FILE] = {{80, 12.0, 1.0}, 4},
};

static const double MOST_PPM = 500.0;

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

static int is_rate(uint32_t rate)
{
    return rate >= LOWEST_RATE && rate <= HIGHEST_RATE;
}

/* Fills in everything but the table and the past. Returns the block's size, 0 for what is out of range. */
static size_t lay_out(rt_resample *r, const rt_resample_config *config)
{
    uint32_t rate_in = config->rate_in, rate_out = config->rate_out;

    if (!is_rate(rate_in) || !is_rate(rate_out) || config->quality > RT_RESAMPLE_FILE || config->tunable > 1)
        return 0;

    const struct filter *f = &filters[config->quality];
    uint32_t common = greatest_common_divisor(rate_in, rate_out), unit = config->tunable ? TUNING_UNITS : 1;
    size_t end = RT_ALIGN64(sizeof *r);

    memset(r, 0, sizeof *r);
    r->rate_in = rate_in;
    r->rate_out = rate_out;
    r->up = rate_out / common;
    r->down = rate_in / common;
    r->turn = (uint64_t)r->up * unit;
    r->advance = (uint64_t)r->down * unit;
    r->tunable = config->tunable;
    r->points = 1;
    if (r->up == r->down && !r->tunable)
        return end;

    uint32_t span = larger(r->up, r->down); /* one period of the lower rate, in L-ths of an input sample */
    uint32_t taps = (2 * f->shape.half * span + r->up - 1) / r->up;

    r->half = f->shape.half;
    r->taps = (taps + LANES - 1) / LANES * LANES;
    r->rows = r->up;
    if (r->tunable || r->up > MOST_EXACT_ROWS || r->up * r->taps * sizeof(float) > MOST_TABLE_BYTES) {
        r->rows = (uint32_t)(((uint64_t)INTERPOLATED_ROWS * r->up + span - 1) / span);
        r->points = f->points;
    }
    r->table_offset = (uint32_t)end;
    end += RT_ALIGN64((r->rows + r->points - 1) * r->taps * sizeof(float));
    r->past_offset = (uint32_t)end;
    end += RT_ALIGN64((r->taps - 1 + BLOCK) * sizeof(float));
    return end;
}

static inline const float *table_of(const rt_resample *r)
{
    return (const float *)((const char *)r + r->table_offset);
}

static inline float *past_of(rt_resample *r)
{
    return (float *)((char *)r + r->past_offset);
}

static void fill_table(rt_resample *r, const rt_kaiser *shape)
{
    float *table = (float *)((char *)r + r->table_offset);
    double per_period = (double)larger(r->up, r->down) / r->up; /* input samples in a period of the lower rate */
    int32_t first = r->points == 4 ? -1 : 0; /* a cubic begins one row earlier */

    for (uint32_t row = 0; row < r->rows + r->points - 1; row++)
        rt_kaiser_row(shape, table + (size_t)row * r->taps, r->taps, (double)((int32_t)row + first) / r->rows,
                      per_period);
}

size_t rt_resample_size_for(const rt_resample_config *config)
{
    rt_resample r;

    return config ? lay_out(&r, config) : 0;
}

int rt_resample_init_for(rt_resample *r, const rt_resample_config *config)
{
    rt_resample layout;

    if (!r || !config || !lay_out(&layout, config))
        return RT_BAD_ARGUMENT;
    *r = layout;
    if (r->taps)
        fill_table(r, &filters[config->quality].shape);
    rt_resample_reset(r);
    return RT_OK;
}

size_t rt_resample_size(uint32_t rate_in, uint32_t rate_out)
{
    return rt_resample_size_for(&(rt_resample_config){rate_in, rate_out, RT_RESAMPLE_LIVE, 0});
}

int rt_resample_init(rt_resample *r, uint32_t rate_in, uint32_t rate_out)
{
    return rt_resample_init_for(r, &(rt_resample_config){rate_in, rate_out, RT_RESAMPLE_LIVE, 0});
}

void rt_resample_reset(rt_resample *r)
{
    r->phase = 0;
    r->wait = 0;
    if (r->taps)
        memset(past_of(r), 0, (r->taps - 1 + BLOCK) * sizeof(float));
}

int rt_resample_tune(rt_resample *r, double ppm)
{
    if (!r->tunable || !(ppm >= -MOST_PPM && ppm <= MOST_PPM))
        return RT_BAD_ARGUMENT;
    r->advance = r->down * (uint64_t)(TUNING_UNITS + (int64_t)floor(ppm * PER_PPM + 0.5));
    return RT_OK;
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

/* On the straight line between two rows. */
static inline float linear(const float *taps, const float *samples, uint32_t count, float share)
{
    float before = dot(taps, samples, count), after = dot(taps + count, samples, count);

    return before + share * (after - before);
}

/* On the cubic through four rows, between the second and the third (Lagrange). */
static inline float cubic(const float *taps, const float *samples, uint32_t count, float t)
{
    float a = dot(taps, samples, count), b = dot(taps + count, samples, count);
    float c = dot(taps + 2 * (size_t)count, samples, count), d = dot(taps + 3 * (size_t)count, samples, count);
    float wa = t * (t - 1.0f) * (t - 2.0f) * (-1.0f / 6.0f), wb = (t + 1.0f) * (t - 1.0f) * (t - 2.0f) * 0.5f;
    float wc = t * (t + 1.0f) * (t - 2.0f) * -0.5f, wd = t * (t + 1.0f) * (t - 1.0f) * (1.0f / 6.0f);

    return wa * a + wb * b + (wc * c + wd * d);
}

/* The output whose oldest sample stands at `samples`. */
static inline float output(const rt_resample *r, const float *table, double rows_per_unit, const float *samples)
{
    if (r->points == 1)
        return dot(table + (size_t)r->phase * r->taps, samples, r->taps);

    /* phase is below 2^53 and at least 1 unit in 2e14 short of a whole sample: this stays below `rows`. */
    double position = (double)(int64_t)r->phase * rows_per_unit;
    uint32_t row = (uint32_t)(int32_t)position;
    float share = (float)(position - (int32_t)row);
    const float *taps = table + (size_t)row * r->taps;

    return r->points == 2 ? linear(taps, samples, r->taps, share) : cubic(taps, samples, r->taps, share);
}

/* The outputs that need none but the first `now` samples of the block, `room` of them at most. */
static uint32_t produce(rt_resample *r, uint32_t now, float *out, uint32_t room)
{
    const float *table = table_of(r), *past = past_of(r);
    uint64_t step = r->advance / r->turn, rest = r->advance % r->turn;
    double rows_per_unit = (double)r->rows / (double)(int64_t)r->turn;
    uint32_t written = 0;

    while (r->wait < now && written < room) {
        out[written++] = output(r, table, rows_per_unit, past + r->wait);
        r->wait += (uint32_t)step;
        r->phase += rest;
        if (r->phase >= r->turn) {
            r->phase -= r->turn;
            r->wait++;
        }
    }
    return written;
}

/* `now` samples of the block are used up; outputs there was no room for are passed over. */
static void advance(rt_resample *r, uint32_t now)
{
    float *past = past_of(r);
    float lost[16];

    while (produce(r, now, lost, 16))
        ;
    r->wait -= now;
    memmove(past, past + now, (r->taps - 1) * sizeof *past);
}

uint32_t rt_resample_process(rt_resample *r, const float *in, uint32_t frames, float *out, uint32_t out_capacity)
{
    uint32_t written = 0;

    if (!r->taps) {
        uint32_t room = frames < out_capacity ? frames : out_capacity;
        take(out, in, room);
        return room;
    }
    for (uint32_t now; frames; frames -= now, in += now) {
        now = frames < BLOCK ? frames : BLOCK;
        take(past_of(r) + r->taps - 1, in, now);
        written += produce(r, now, out + written, out_capacity - written);
        advance(r, now);
    }
    return written;
}

uint32_t rt_resample_process_int16(rt_resample *r, const int16_t *in, uint32_t frames, int16_t *out,
                                   uint32_t out_capacity)
{
    float some[BLOCK];
    uint32_t written = 0;

    if (!r->taps) {
        uint32_t room = frames < out_capacity ? frames : out_capacity;
        if (room)
            memcpy(out, in, room * sizeof *out);
        return room;
    }
    for (uint32_t now; frames; frames -= now, in += now) {
        now = frames < BLOCK ? frames : BLOCK;
        rt_pcm_to_float(in, past_of(r) + r->taps - 1, now);
        for (uint32_t got, room; (room = out_capacity - written) != 0; written += got) {
            got = produce(r, now, some, room < BLOCK ? room : BLOCK);
            if (!got)
                break;
            rt_pcm_from_float(some, out + written, got);
        }
        advance(r, now);
    }
    return written;
}

uint32_t rt_resample_out(const rt_resample *r, uint32_t frames)
{
    uint64_t position = r->wait * r->turn + r->phase; /* of the next output, from the first of these frames */
    uint32_t count = 0;

    for (uint32_t now; frames; frames -= now) {
        now = frames < FRAMES_AT_ONCE ? frames : FRAMES_AT_ONCE;
        uint64_t end = now * r->turn;
        if (position < end) {
            uint64_t due = (end - position + r->advance - 1) / r->advance;
            position += due * r->advance;
            count += (uint32_t)due;
        }
        position -= end;
    }
    return count;
}

/* The fewest input samples after which process() will have written out_frames (not 0) more. */
static uint32_t needed(const rt_resample *r, uint32_t out_frames)
{
    return (uint32_t)(r->wait + (r->phase + (out_frames - 1) * r->advance) / r->turn + 1);
}

/* Input samples of silence that push the tail out. Going down that is a whole number of outputs, going up of inputs. */
static uint32_t tail_in(const rt_resample *r)
{
    if (!r->taps)
        return 0;
    return r->up > r->down ? r->half : needed(r, r->half);
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

uint32_t rt_resample_flush_int16(rt_resample *r, int16_t *out, uint32_t out_capacity)
{
    int16_t silence[64] = {0};
    uint32_t written = 0;

    for (uint32_t left = tail_in(r), now; left; left -= now) {
        now = left < 64 ? left : 64;
        written += rt_resample_process_int16(r, silence, now, out + written, out_capacity - written);
    }
    rt_resample_reset(r);
    return written;
}

double rt_resample_latency(const rt_resample *r)
{
    return r->taps ? (double)r->half / (r->rate_in < r->rate_out ? r->rate_in : r->rate_out) : 0.0;
}
