#include "echo_features.h"
#include "ftz.h"
#include "log10.h"
#include "tame.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define LOWEST_HZ 50.0
#define HIGHEST_HZ 8000.0
#define FLOOR 1e-10f
#define KEEPS 0.75f /* of the products, per hop: 40 ms */

enum { LAST_LINE = 160 }; /* 8 kHz */

size_t rt_echo_features_size(void) { return RT_ALIGN64(sizeof(rt_echo_features)); }

static double mel(double hz) { return log1p(hz / 700.0); }

static double hz_of(double place)
{
    double low = mel(LOWEST_HZ), step = (mel(HIGHEST_HZ) - low) / (RT_ECHO_BANDS - 1);
    return 700.0 * expm1(low + place * step);
}

static void lay_bands(rt_echo_features *f)
{
    double sum[RT_ECHO_BANDS] = {0};
    for (uint32_t k = 0; k < RT_ECHO_LINES; k++) {
        double hz = (double)k * RT_RATE / RT_ECHO_FRAME;
        uint32_t below = 0;
        while (below < RT_ECHO_BANDS - 2 && hz_of(below + 1.0) <= hz)
            below++;
        double low = hz_of(below), share = (hz - low) / (hz_of(below + 1.0) - low);
        share = share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share;
        f->band[k] = below;
        f->share[k] = (float)share;
        if (k >= 1 && k <= LAST_LINE) {
            sum[below] += 1.0 - share;
            sum[below + 1] += share;
        }
    }
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        f->weight[b] = (float)(1.0 / sum[b]);
}

int rt_echo_features_init(rt_echo_features *f)
{
    memset(f, 0, sizeof *f);
    rt_fft_init(&f->fft, RT_ECHO_FRAME);
    for (uint32_t i = 0; i < RT_ECHO_FRAME; i++) {
        uint32_t rise = RT_ECHO_FRAME - RT_ECHO_FALL;
        f->window[i] = (float)(i < rise ? sin(0.5 * PI * (i + 0.5) / rise) : cos(0.5 * PI * (i - rise + 0.5) / RT_ECHO_FALL));
    }
    lay_bands(f);
    return RT_OK;
}

void rt_echo_features_reset(rt_echo_features *f)
{
    memset(f->past, 0, sizeof f->past);
    memset(f->re, 0, sizeof f->re);
    memset(f->im, 0, sizeof f->im);
    memset(f->echo_re, 0, sizeof f->echo_re);
    memset(f->echo_im, 0, sizeof f->echo_im);
    memset(f->power, 0, sizeof f->power);
    memset(f->references, 0, sizeof f->references);
    memset(f->both, 0, sizeof f->both);
    memset(f->left, 0, sizeof f->left);
    memset(f->echo, 0, sizeof f->echo);
    f->turn = 0;
}

static void spectrum(const rt_echo_features *f, float *past, const float *hop, float *re, float *im)
{
    float frame[RT_ECHO_FRAME];
    for (uint32_t i = 0; i < RT_HOP; i++) {
        float x = rt_tame(hop[i]);
        frame[i] = past[i] * f->window[i];
        frame[RT_HOP + i] = x * f->window[RT_HOP + i];
        past[i] = x;
    }
    rt_fft_forward(&f->fft, frame, re, im);
}

/* Means over each band of the products of two spectra; the window's squares sum to 240. */
static void band_means(const rt_echo_features *f, const float *re, const float *im, const float *re2, const float *im2, float *out)
{
    float product[LAST_LINE + 1];
    for (uint32_t k = 1; k <= LAST_LINE; k++)
        product[k] = (re[k] * re2[k] + im[k] * im2[k]) * (1.0f / RT_HOP);
    memset(out, 0, RT_ECHO_BANDS * sizeof *out);
    for (uint32_t k = 1; k <= LAST_LINE; k++) {
        float above = product[k] * f->share[k];
        out[f->band[k]] += product[k] - above;
        out[f->band[k] + 1] += above;
    }
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        out[b] *= f->weight[b];
}

static void look(rt_echo_features *f, const float *left, const float *echo, const float *reference, float *both)
{
    float y_re[RT_FFT_BINS], y_im[RT_FFT_BINS], x_re[RT_FFT_BINS], x_im[RT_FFT_BINS];
    spectrum(f, f->past[2], reference, x_re, x_im);
    band_means(f, x_re, x_im, x_re, x_im, f->references[f->turn]);
    f->turn = (f->turn + 1) % RT_ECHO_ECHOES;
    spectrum(f, f->past[0], left, x_re, x_im);
    spectrum(f, f->past[1], echo, y_re, y_im);
    memcpy(f->re, x_re, sizeof f->re);
    memcpy(f->im, x_im, sizeof f->im);
    memcpy(f->echo_re, y_re, sizeof f->echo_re);
    memcpy(f->echo_im, y_im, sizeof f->echo_im);
    band_means(f, x_re, x_im, x_re, x_im, f->power[RT_ECHO_LEFT]);
    band_means(f, y_re, y_im, y_re, y_im, f->power[RT_ECHO_ESTIMATE]);
    band_means(f, x_re, x_im, y_re, y_im, both);
}

static float cut(float x, float most) { return x > most ? most : x < -most ? -most : x; }

void rt_echo_features_process(rt_echo_features *f, const float *left, const float *echo, const float *reference, float *out) RT_NONBLOCKING
{
    float both[RT_ECHO_BANDS];
    uint64_t mode = rt_ftz_begin();
    look(f, left, echo, reference, both);
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++) {
        float e = f->power[RT_ECHO_LEFT][b], y = f->power[RT_ECHO_ESTIMATE][b], d = e + y + 2.0f * both[b], x = 0.0f;
        for (uint32_t i = 0; i < RT_ECHO_ECHOES; i++)
            x = f->references[i][b] > x ? f->references[i][b] : x;
        f->power[RT_ECHO_MICROPHONE][b] = d > 0.0f ? d : 0.0f;
        f->power[RT_ECHO_REFERENCE][b] = x;
        f->both[b] = KEEPS * f->both[b] + (1.0f - KEEPS) * both[b];
        f->left[b] = KEEPS * f->left[b] + (1.0f - KEEPS) * e;
        f->echo[b] = KEEPS * f->echo[b] + (1.0f - KEEPS) * y;
    }
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
            out[i * RT_ECHO_BANDS + b] = (rt_log10(f->power[i][b] + FLOOR) + 6.0f) * (1.0f / 1.5f);
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++) {
        float y = f->echo[b] + FLOOR;
        out[4 * RT_ECHO_BANDS + b] = cut(out[b] - out[RT_ECHO_BANDS + b], 4.0f);
        out[5 * RT_ECHO_BANDS + b] = cut(f->both[b] / y, 2.0f);
        out[6 * RT_ECHO_BANDS + b] = f->both[b] / sqrtf((f->left[b] + FLOOR) * y);
    }
    rt_ftz_end(mode);
}

void rt_echo_features_power(const rt_echo_features *f, int sound, float *out) RT_NONBLOCKING
{
    memcpy(out, f->power[sound & 3], RT_ECHO_BANDS * sizeof *out);
}

void rt_echo_features_many(rt_echo_features *f, const float *left, const float *echo, const float *reference, uint32_t hops, float *out, float *powers)
{
    for (size_t i = 0; i < hops; i++) {
        rt_echo_features_process(f, left + i * RT_HOP, echo + i * RT_HOP, reference + i * RT_HOP, out + i * RT_ECHO_FEATURES);
        if (powers != NULL)
            rt_echo_features_power(f, RT_ECHO_LEFT, powers + i * RT_ECHO_BANDS);
    }
}

void rt_echo_features_return(rt_echo_features *f, float share) RT_NONBLOCKING
{
    for (uint32_t k = 0; k < RT_ECHO_LINES; k++) {
        f->re[k] += share * f->echo_re[k];
        f->im[k] += share * f->echo_im[k];
    }
}

void rt_echo_features_gain(const rt_echo_features *f, const float *gains, float *out) RT_NONBLOCKING
{
    for (uint32_t k = 0; k < RT_ECHO_LINES; k++) {
        float below = gains[f->band[k]];
        out[k] = below + f->share[k] * (gains[f->band[k] + 1] - below);
    }
}

uint32_t rt_echo_features_latency(const rt_echo_features *f)
{
    (void)f;
    return 0;
}
