#include "denoise.h"
#include "ftz.h"
#include "tame.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define TOP_HZ 11800.0      /* centre of the highest band */
#define LEARNING 8          /* hops at the start that are taken for noise, as far as they are alike */
#define LEAST 1e-12f        /* of a band's power: below what int16 can hold */
#define SILENT 1e-7f        /* power of a frame that is digital silence */
#define EXPECTED 31.6228f   /* 15 dB: SNR of speech where it is present */
#define FOLLOWS 0.2f        /* share of the newest in the noise, per hop: 50 ms */
#define REMEMBERS 0.9f      /* of the last hop's SNR in this one's */
#define LEAST_SNR 0.0158489f /* -18 dB */
#define CAUTION 2.0f        /* noise is reckoned 3 dB louder than estimated */
#define MOST_SNR 1000.0f

static const struct preset {
    float power, floor_db;
} presets[] = {[RT_DENOISE_NEAR] = {0.5f, -12.0f}, [RT_DENOISE_FAR] = {0.7f, -18.0f}};

size_t rt_denoise_size(void) { return RT_ALIGN64(sizeof(rt_denoise)); }

static double mel(double hz) { return log1p(hz / 700.0); }

static void lay_bands(rt_denoise *d)
{
    float sum[RT_DENOISE_BANDS] = {0};
    double step = mel(TOP_HZ) / (RT_DENOISE_BANDS - 1);
    for (uint32_t k = 0; k < RT_DENOISE_BINS; k++) {
        double hz = (double)k * RT_RATE / RT_DENOISE_FRAME, at = mel(hz) / step;
        uint32_t below = at < RT_DENOISE_BANDS - 1 ? (uint32_t)at : RT_DENOISE_BANDS - 2;
        double low = 700.0 * expm1(below * step), high = 700.0 * expm1((below + 1) * step), share = (hz - low) / (high - low);
        d->band[k] = below;
        d->share[k] = share > 1.0 ? 1.0f : (float)share;
        sum[below] += 1.0f - d->share[k];
        sum[below + 1] += d->share[k];
    }
    for (uint32_t b = 0; b < RT_DENOISE_BANDS; b++)
        d->weight[b] = sum[b] > 0.0f ? 1.0f / sum[b] : 0.0f;
}

int rt_denoise_set(rt_denoise *d, int preset, float strength) RT_NONBLOCKING
{
    if (preset < RT_DENOISE_NEAR || preset > RT_DENOISE_FAR || !(strength >= 0.0f && strength <= 2.0f))
        return RT_BAD_ARGUMENT;
    d->power = presets[preset].power * strength;
    d->floor = expf(presets[preset].floor_db * strength * 0.11512925f);
    return RT_OK;
}

int rt_denoise_init(rt_denoise *d, int preset, float strength)
{
    memset(d, 0, sizeof *d);
    if (rt_denoise_set(d, preset, strength) != RT_OK)
        return RT_BAD_ARGUMENT;
    rt_fft_init(&d->fft, RT_DENOISE_FRAME);
    for (uint32_t i = 0; i < RT_DENOISE_FRAME; i++)
        d->window[i] = (float)sin(PI * i / RT_DENOISE_FRAME); /* the root of Hann's: in and out make one whole */
    lay_bands(d);
    rt_denoise_reset(d);
    return RT_OK;
}

void rt_denoise_reset(rt_denoise *d)
{
    d->learnt = 0;
    memset(d->past, 0, sizeof d->past);
    memset(d->tail, 0, sizeof d->tail);
    memset(d->present, 0, sizeof d->present);
    memset(d->clean, 0, sizeof d->clean);
    for (uint32_t b = 0; b < RT_DENOISE_BANDS; b++)
        d->noise[b] = LEAST;
}

static void powers(const rt_denoise *d, const float *re, const float *im, float *power)
{
    for (uint32_t b = 0; b < RT_DENOISE_BANDS; b++)
        power[b] = 0.0f;
    for (uint32_t k = 0; k < RT_DENOISE_BINS; k++) {
        float p = re[k] * re[k] + im[k] * im[k], above = p * d->share[k];
        power[d->band[k]] += p - above;
        power[d->band[k] + 1] += above;
    }
    for (uint32_t b = 0; b < RT_DENOISE_BANDS; b++)
        power[b] = power[b] * d->weight[b] + LEAST;
}

/* Of one band: its noise, after a hop of this power. */
static void follow_noise(rt_denoise *d, uint32_t b, float power)
{
    float noise = d->noise[b];
    if (d->learnt < LEARNING)
        noise = d->learnt == 0 ? power : noise + 0.2f * ((power < 4.0f * noise ? power : 4.0f * noise) - noise);
    float exponent = power / noise * (EXPECTED / (1.0f + EXPECTED));
    float odds = expf(exponent < 50.0f ? exponent : 50.0f) / (1.0f + EXPECTED), present = odds / (1.0f + odds);
    d->present[b] = 0.9f * d->present[b] + 0.1f * present;
    if (d->present[b] > 0.99f && present > 0.99f)
        present = 0.99f; /* speech for ever is noise that began */
    noise += FOLLOWS * (1.0f - present) * (power - noise);
    d->noise[b] = noise > LEAST ? noise : LEAST;
}

/* exp(E1(v) / 2), by pieces, within 3 %. */
static float grown(float v)
{
    float x = v > 1e-6f ? v : 1e-6f, e1;
    if (x < 0.1f)
        e1 = -1.0032f * logf(x) - 0.6f;
    else if (x <= 1.0f)
        e1 = -0.67055f * logf(x) + 0.166f;
    else
        e1 = expf(-1.19734f * x - 0.59867f);
    return expf(0.5f * e1);
}

static float gain_of(rt_denoise *d, uint32_t b, float power)
{
    float noise = CAUTION * d->noise[b], after = power / noise;
    after = after < MOST_SNR ? after : MOST_SNR;
    float before = REMEMBERS * d->clean[b] / noise + (1.0f - REMEMBERS) * (after > 1.0f ? after - 1.0f : 0.0f);
    before = before > LEAST_SNR ? before : LEAST_SNR;
    float wiener = before / (1.0f + before), gain = wiener * grown(wiener * after);
    gain = gain < 1.0f ? gain : 1.0f;
    d->clean[b] = gain * gain * power;
    gain = powf(gain, d->power);
    return gain > d->floor ? gain : d->floor;
}

static void suppress(rt_denoise *d, float *re, float *im)
{
    float power[RT_DENOISE_BANDS], gain[RT_DENOISE_BANDS], sum = 0.0f;
    powers(d, re, im, power);
    for (uint32_t b = 0; b < RT_DENOISE_BANDS; b++)
        sum += power[b];
    int heard = sum > SILENT;
    for (uint32_t b = 0; b < RT_DENOISE_BANDS; b++) {
        if (heard)
            follow_noise(d, b, power[b]);
        gain[b] = gain_of(d, b, power[b]);
    }
    d->learnt += heard && d->learnt < LEARNING;
    for (uint32_t k = 0; k < RT_DENOISE_BINS; k++) {
        float below = gain[d->band[k]], g = below + d->share[k] * (gain[d->band[k] + 1] - below);
        re[k] *= g;
        im[k] *= g;
    }
}

void rt_denoise_process(rt_denoise *d, float *hop) RT_NONBLOCKING
{
    float frame[RT_DENOISE_FRAME], re[RT_FFT_BINS], im[RT_FFT_BINS];
    uint64_t mode = rt_ftz_begin();
    for (uint32_t i = 0; i < RT_HOP; i++) {
        float x = rt_tame(hop[i]);
        frame[i] = d->past[i] * d->window[i];
        frame[RT_HOP + i] = x * d->window[RT_HOP + i];
        d->past[i] = x;
    }
    rt_fft_forward(&d->fft, frame, re, im);
    suppress(d, re, im);
    rt_fft_backward(&d->fft, re, im, frame);
    for (uint32_t i = 0; i < RT_HOP; i++) {
        hop[i] = d->tail[i] + frame[i] * d->window[i];
        d->tail[i] = frame[RT_HOP + i] * d->window[RT_HOP + i];
    }
    rt_ftz_end(mode);
}

float rt_denoise_noise_db(const rt_denoise *d) RT_NONBLOCKING
{
    float sum = 0.0f; /* over the bins, from the bands' means */
    for (uint32_t b = 0; b < RT_DENOISE_BANDS; b++)
        sum += d->weight[b] > 0.0f ? d->noise[b] / d->weight[b] : 0.0f;
    float square = 2.0f * sum / (float)(RT_DENOISE_FRAME * RT_HOP); /* Parseval; the window's mean square is a half */
    return square > 1e-12f ? 10.0f * log10f(square) : -120.0f;
}

uint32_t rt_denoise_latency(const rt_denoise *d)
{
    (void)d;
    return RT_DENOISE_DELAY;
}
