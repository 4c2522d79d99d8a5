#include "vad_features.h"

#include "biquad.h"
#include "log10.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define FALL 128                     /* samples in which the window falls: 5 ms */
#define FLOOR 1e-10f
#define LEAST_ENERGY 1e-7f           /* of 30 ms at 4 kHz: -90 dBFS, no pitch to look for */
#define NARROW_HZ 1300.0             /* half way down, before 4 kHz */
#define STEP (RT_HOP / RT_VAD_NARROW)
#define FIRST_BIN 5                  /* of the telephone band: 234 Hz */
#define LAST_BIN 81                  /* 3797 Hz */

size_t rt_vad_features_size(void) { return RT_ALIGN64(sizeof(rt_vad_features)); }

static double mel(double hz) { return 1127.0 * log(1.0 + hz / 700.0); }

static void design_bands(rt_vad_features *f)
{
    double first = mel(60.0), step = (mel(7600.0) - first) / (RT_VAD_BANDS + 1), sum[RT_VAD_BANDS + 2] = {0};
    for (uint32_t k = 0; k < RT_VAD_BINS; k++) {
        double place = (mel((double)k * RT_RATE / RT_VAD_WINDOW) - first) / step;
        int inside = place >= 0.0 && place < RT_VAD_BANDS + 1;
        uint32_t band = inside ? (uint32_t)place : 0;
        f->band_of[k] = band;
        f->band_share[k] = inside ? (float)(place - band) : -1.0f;
        if (inside) {
            sum[band] += 1.0 - (place - band);
            sum[band + 1] += place - band;
        }
    }
    for (uint32_t b = 0; b < RT_VAD_BANDS; b++)
        f->band_scale[b] = (float)(1.0 / sum[b + 1] / RT_VAD_WINDOW);
}

int rt_vad_features_init(rt_vad_features *f)
{
    memset(f, 0, sizeof *f);
    rt_fft_init(&f->fft, RT_VAD_WINDOW);
    for (int n = 0; n < RT_VAD_WINDOW; n++) {
        int rise = RT_VAD_WINDOW - FALL;
        double place = n < rise ? (n + 0.5) / rise : (RT_VAD_WINDOW - n - 0.5) / FALL;
        f->window[n] = (float)(0.5 - 0.5 * cos(PI * place));
    }
    design_bands(f);
    double sum = 0.0, taps[RT_VAD_TAPS];
    for (int n = 0; n < RT_VAD_TAPS; n++) {
        double t = n - 0.5 * (RT_VAD_TAPS - 1), x = 2.0 * PI * NARROW_HZ / RT_RATE * t;
        sum += taps[n] = sin(x) / x * (0.5 + 0.5 * cos(2.0 * PI * t / RT_VAD_TAPS));
    }
    for (int n = 0; n < RT_VAD_TAPS; n++)
        f->taps[n] = (float)(taps[n] / sum);
    rt_vad_features_reset(f);
    return RT_OK;
}

void rt_vad_features_reset(rt_vad_features *f)
{
    memset(f->sound, 0, sizeof f->sound);
    memset(f->past, 0, sizeof f->past);
    memset(f->products, 0, sizeof f->products);
    f->turn = 0;
}

static float sum_of_squares(const float *x, uint32_t count)
{
    float sum[8] = {0};
    for (uint32_t i = 0; i < count; i += 8)
        for (uint32_t k = 0; k < 8; k++)
            sum[k] += x[i + k] * x[i + k];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

static float spectrum(rt_vad_features *f, float *out)
{
    float frame[RT_VAD_WINDOW], real[RT_VAD_BINS], imaginary[RT_VAD_BINS], bands[RT_VAD_BANDS + 2] = {0};
    for (uint32_t n = 0; n < RT_VAD_WINDOW; n++)
        frame[n] = f->sound[n] * f->window[n];
    rt_fft_forward(&f->fft, frame, real, imaginary);
    for (uint32_t k = 0; k < RT_VAD_BINS; k++)
        real[k] = real[k] * real[k] + imaginary[k] * imaginary[k];
    float telephone = 0.0f;
    for (uint32_t k = FIRST_BIN; k <= LAST_BIN; k++)
        telephone += real[k];
    for (uint32_t k = 1; k < RT_VAD_BINS && (k < LAST_BIN || f->band_share[k] >= 0.0f); k++) {
        if (f->band_share[k] < 0.0f)
            continue;
        float upper = real[k] * f->band_share[k];
        bands[f->band_of[k]] += real[k] - upper;
        bands[f->band_of[k] + 1] += upper;
    }
    for (uint32_t b = 0; b < RT_VAD_BANDS; b++)
        out[b] = bands[b + 1] * f->band_scale[b];
    return telephone * (2.0f / (RT_VAD_WINDOW * 0.375f * RT_VAD_WINDOW)); /* 0.375: mean square of the window */
}

static void halves(const rt_vad_features *f, float *out)
{
    const float *x = f->sound + RT_VAD_WINDOW - RT_HOP;
    float y[RT_HOP];
    for (uint32_t n = 0; n < RT_HOP; n++)
        y[n] = x[n] - 0.95f * x[(int)n - 1];
    out[0] = sum_of_squares(y, RT_HOP / 2) * (2.0f / RT_HOP);
    out[1] = sum_of_squares(y + RT_HOP / 2, RT_HOP / 2) * (2.0f / RT_HOP);
}

static void narrow(rt_vad_features *f)
{
    memmove(f->past, f->past + RT_VAD_NARROW, (RT_VAD_PAST - RT_VAD_NARROW) * sizeof *f->past);
    float *out = f->past + RT_VAD_PAST - RT_VAD_NARROW;
    for (uint32_t i = 0; i < RT_VAD_NARROW; i++) {
        const float *x = f->sound + RT_VAD_WINDOW - RT_HOP + (i + 1) * STEP - RT_VAD_TAPS;
        float sum[8] = {0};
        for (uint32_t n = 0; n < RT_VAD_TAPS; n += 8)
            for (uint32_t k = 0; k < 8; k++)
                sum[k] += x[n + k] * f->taps[n + k];
        out[i] = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
    }
}

static void periodicity(rt_vad_features *f, float *out)
{
    const float *now = f->past + RT_VAD_PAST - RT_VAD_NARROW;
    float *fresh = f->products[f->turn];
    float sums[RT_VAD_LAGS] = {0};
    for (uint32_t n = 0; n < RT_VAD_NARROW; n++) {
        const float *then = now + n - RT_VAD_LEAST_LAG - RT_VAD_LAGS + 1; /* the longest lag first */
        float x = now[n];
        for (uint32_t k = 0; k < RT_VAD_LAGS; k++)
            sums[k] += x * then[k];
    }
    memcpy(fresh, sums, sizeof sums);
    f->turn = (f->turn + 1) % 3;
    out[0] = out[1] = 0.0f;
    const float *window = f->past + RT_VAD_PAST - 3 * RT_VAD_NARROW;
    float energy = sum_of_squares(window, 3 * RT_VAD_NARROW);
    if (!(energy > LEAST_ENERGY))
        return;
    float delayed = sum_of_squares(window - RT_VAD_LEAST_LAG, 3 * RT_VAD_NARROW), best = 0.0f;
    uint32_t best_lag = RT_VAD_LEAST_LAG;
    for (uint32_t lag = RT_VAD_LEAST_LAG; lag < RT_VAD_LEAST_LAG + RT_VAD_LAGS; lag++) {
        uint32_t k = RT_VAD_LEAST_LAG + RT_VAD_LAGS - 1 - lag;
        float r = 2.0f * (f->products[0][k] + f->products[1][k] + f->products[2][k]), e = energy + (delayed > 0.0f ? delayed : 0.0f);
        if (r > best * e) {
            best = r / e;
            best_lag = lag;
        }
        const float *then = window - lag - 1;
        delayed += then[0] * then[0] - then[3 * RT_VAD_NARROW] * then[3 * RT_VAD_NARROW];
    }
    out[0] = best < 1.0f ? best : 1.0f;
    out[1] = out[0] * (3.3219281f * rt_log10((float)best_lag * (1.0f / 26.0f)));
}

float rt_vad_features_process(rt_vad_features *f, const float *hop, float *out) RT_NONBLOCKING
{
    memmove(f->sound, f->sound + RT_HOP, (RT_VAD_WINDOW - RT_HOP) * sizeof *f->sound);
    for (uint32_t n = 0; n < RT_HOP; n++)
        f->sound[RT_VAD_WINDOW - RT_HOP + n] = rt_biquad_tame(hop[n]);
    float telephone = spectrum(f, out);
    halves(f, out + RT_VAD_BANDS);
    for (uint32_t i = 0; i < RT_VAD_BANDS + 2; i++)
        out[i] = (rt_log10(out[i] + FLOOR) + 6.5f) * (1.0f / 1.5f);
    narrow(f);
    periodicity(f, out + RT_VAD_BANDS + 2);
    out[RT_VAD_BANDS + 2] = out[RT_VAD_BANDS + 2] * 4.0f - 2.0f;
    out[RT_VAD_BANDS + 3] *= 2.0f;
    return telephone;
}

void rt_vad_features_many(rt_vad_features *f, const float *sound, uint32_t hops, float *out)
{
    for (uint32_t i = 0; i < hops; i++)
        rt_vad_features_process(f, sound + (size_t)i * RT_HOP, out + (size_t)i * RT_VAD_FEATURES);
}

uint32_t rt_vad_features_latency(const rt_vad_features *f)
{
    (void)f;
    return 0;
}
