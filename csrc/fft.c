#include "fft.h"

#include <math.h>
#include <string.h>

#define TAU 6.28318530717958647692

enum { HALF = RT_FFT_MOST / 2 };

typedef struct complexes {
    float re[HALF], im[HALF];
} complexes;

int rt_fft_init(rt_fft *fft, uint32_t n)
{
    static const uint32_t radices[] = {5, 4, 3, 2};
    if (n < RT_FFT_LEAST || n > RT_FFT_MOST || n % 2)
        return RT_BAD_ARGUMENT;
    memset(fft, 0, sizeof *fft);
    uint32_t left = n / 2, at = 0;
    for (uint32_t i = 0; i < 4 && left > 1; i++)
        for (; left % radices[i] == 0 && fft->stages < RT_FFT_STAGES; left /= radices[i]) {
            uint32_t radix = radices[i], rows = left / radix;
            fft->radix[fft->stages++] = radix;
            for (uint32_t p = 0; p < rows; p++)
                for (uint32_t k = 1; k < radix; k++, at++) {
                    fft->turn[at] = (float)cos(TAU * p * k / left);
                    fft->slip[at] = (float)-sin(TAU * p * k / left);
                }
        }
    if (left != 1)
        return RT_BAD_ARGUMENT;
    fft->n = n;
    for (uint32_t k = 0; k <= n / 2; k++) {
        fft->half_turn[k] = (float)cos(TAU * k / n);
        fft->half_slip[k] = (float)-sin(TAU * k / n);
    }
    return RT_OK;
}

/* One butterfly row: `stride` transforms of `radix` points that lie `apart` from each other, turned by the row's twiddles. */
static void row2(const float *re, const float *im, uint32_t apart, uint32_t stride, const float *w, const float *v, float *yr, float *yi)
{
    for (uint32_t q = 0; q < stride; q++) {
        float ar = re[q], ai = im[q], br = re[q + apart], bi = im[q + apart];
        float dr = ar - br, di = ai - bi;
        yr[q] = ar + br;
        yi[q] = ai + bi;
        yr[q + stride] = dr * w[0] - di * v[0];
        yi[q + stride] = dr * v[0] + di * w[0];
    }
}

static void row3(const float *re, const float *im, uint32_t apart, uint32_t stride, const float *w, const float *v, float *yr, float *yi)
{
    const float s = 0.86602540378443864676f;
    for (uint32_t q = 0; q < stride; q++) {
        float ar = re[q], ai = im[q], br = re[q + apart], bi = im[q + apart], cr = re[q + 2 * apart], ci = im[q + 2 * apart];
        float tr = br + cr, ti = bi + ci, ur = ar - 0.5f * tr, ui = ai - 0.5f * ti, sr = s * (bi - ci), si = s * (cr - br);
        float d1r = ur + sr, d1i = ui + si, d2r = ur - sr, d2i = ui - si;
        yr[q] = ar + tr;
        yi[q] = ai + ti;
        yr[q + stride] = d1r * w[0] - d1i * v[0];
        yi[q + stride] = d1r * v[0] + d1i * w[0];
        yr[q + 2 * stride] = d2r * w[1] - d2i * v[1];
        yi[q + 2 * stride] = d2r * v[1] + d2i * w[1];
    }
}

static void row4(const float *re, const float *im, uint32_t apart, uint32_t stride, const float *w, const float *v, float *yr, float *yi)
{
    for (uint32_t q = 0; q < stride; q++) {
        float ar = re[q], ai = im[q], br = re[q + apart], bi = im[q + apart];
        float cr = re[q + 2 * apart], ci = im[q + 2 * apart], dr = re[q + 3 * apart], di = im[q + 3 * apart];
        float er = ar + cr, ei = ai + ci, fr = ar - cr, fi = ai - ci, gr = br + dr, gi = bi + di, hr = bi - di, hi = dr - br;
        float d1r = fr + hr, d1i = fi + hi, d2r = er - gr, d2i = ei - gi, d3r = fr - hr, d3i = fi - hi;
        yr[q] = er + gr;
        yi[q] = ei + gi;
        yr[q + stride] = d1r * w[0] - d1i * v[0];
        yi[q + stride] = d1r * v[0] + d1i * w[0];
        yr[q + 2 * stride] = d2r * w[1] - d2i * v[1];
        yi[q + 2 * stride] = d2r * v[1] + d2i * w[1];
        yr[q + 3 * stride] = d3r * w[2] - d3i * v[2];
        yi[q + 3 * stride] = d3r * v[2] + d3i * w[2];
    }
}

static void row5(const float *re, const float *im, uint32_t apart, uint32_t stride, const float *w, const float *v, float *yr, float *yi)
{
    const float c1 = 0.30901699437494742410f, c2 = -0.80901699437494742410f, s1 = 0.95105651629515357212f, s2 = 0.58778525229247312917f;
    for (uint32_t q = 0; q < stride; q++) {
        float ar = re[q], ai = im[q];
        float br = re[q + apart], bi = im[q + apart], cr = re[q + 2 * apart], ci = im[q + 2 * apart];
        float dr = re[q + 3 * apart], di = im[q + 3 * apart], er = re[q + 4 * apart], ei = im[q + 4 * apart];
        float t1r = br + er, t1i = bi + ei, t2r = cr + dr, t2i = ci + di, t3r = bi - ei, t3i = er - br, t4r = ci - di, t4i = dr - cr;
        float m1r = ar + c1 * t1r + c2 * t2r, m1i = ai + c1 * t1i + c2 * t2i, m2r = ar + c2 * t1r + c1 * t2r, m2i = ai + c2 * t1i + c1 * t2i;
        float n1r = s1 * t3r + s2 * t4r, n1i = s1 * t3i + s2 * t4i, n2r = s2 * t3r - s1 * t4r, n2i = s2 * t3i - s1 * t4i;
        float d1r = m1r + n1r, d1i = m1i + n1i, d2r = m2r + n2r, d2i = m2i + n2i;
        float d3r = m2r - n2r, d3i = m2i - n2i, d4r = m1r - n1r, d4i = m1i - n1i;
        yr[q] = ar + t1r + t2r;
        yi[q] = ai + t1i + t2i;
        yr[q + stride] = d1r * w[0] - d1i * v[0];
        yi[q + stride] = d1r * v[0] + d1i * w[0];
        yr[q + 2 * stride] = d2r * w[1] - d2i * v[1];
        yi[q + 2 * stride] = d2r * v[1] + d2i * w[1];
        yr[q + 3 * stride] = d3r * w[2] - d3i * v[2];
        yi[q + 3 * stride] = d3r * v[2] + d3i * w[2];
        yr[q + 4 * stride] = d4r * w[3] - d4i * v[3];
        yi[q + 4 * stride] = d4r * v[3] + d4i * w[3];
    }
}

/* The complex transform of n / 2 points; returns which of the two it ended in. */
static complexes *transform(const rt_fft *fft, complexes *from, complexes *to)
{
    uint32_t length = fft->n / 2, stride = 1, at = 0;
    for (uint32_t i = 0; i < fft->stages; i++) {
        uint32_t radix = fft->radix[i], rows = length / radix;
        for (uint32_t p = 0; p < rows; p++, at += radix - 1) {
            const float *re = from->re + stride * p, *im = from->im + stride * p, *w = fft->turn + at, *v = fft->slip + at;
            float *yr = to->re + stride * radix * p, *yi = to->im + stride * radix * p;
            if (radix == 4)
                row4(re, im, stride * rows, stride, w, v, yr, yi);
            else if (radix == 5)
                row5(re, im, stride * rows, stride, w, v, yr, yi);
            else if (radix == 3)
                row3(re, im, stride * rows, stride, w, v, yr, yi);
            else
                row2(re, im, stride * rows, stride, w, v, yr, yi);
        }
        length = rows;
        stride *= radix;
        complexes *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

void rt_fft_forward(const rt_fft *fft, const float *in, float *re, float *im) RT_NONBLOCKING
{
    complexes a, b;
    uint32_t half = fft->n / 2;
    for (uint32_t i = 0; i < half; i++) {
        a.re[i] = in[2 * i];
        a.im[i] = in[2 * i + 1];
    }
    const complexes *z = transform(fft, &a, &b);
    re[0] = z->re[0] + z->im[0];
    re[half] = z->re[0] - z->im[0];
    im[0] = im[half] = 0.0f;
    for (uint32_t k = 1; k < half; k++) { /* even and odd samples' spectra, put together */
        float er = 0.5f * (z->re[k] + z->re[half - k]), ei = 0.5f * (z->im[k] - z->im[half - k]);
        float or = 0.5f * (z->im[k] + z->im[half - k]), oi = -0.5f * (z->re[k] - z->re[half - k]);
        re[k] = er + or * fft->half_turn[k] - oi * fft->half_slip[k];
        im[k] = ei + or * fft->half_slip[k] + oi * fft->half_turn[k];
    }
}

void rt_fft_backward(const rt_fft *fft, const float *re, const float *im, float *out) RT_NONBLOCKING
{
    complexes a, b;
    uint32_t half = fft->n / 2;
    float scale = 0.5f / (float)half;
    /* Real and imaginary part change places: the same transform then runs the other way. */
    a.im[0] = scale * (re[0] + re[half]);
    a.re[0] = scale * (re[0] - re[half]);
    for (uint32_t k = 1; k < half; k++) {
        float er = re[k] + re[half - k], ei = im[k] - im[half - k], dr = re[k] - re[half - k], di = im[k] + im[half - k];
        float or = dr * fft->half_turn[k] + di * fft->half_slip[k], oi = di * fft->half_turn[k] - dr * fft->half_slip[k];
        a.im[k] = scale * (er - oi);
        a.re[k] = scale * (ei + or);
    }
    const complexes *z = transform(fft, &a, &b);
    for (uint32_t i = 0; i < half; i++) {
        out[2 * i] = z->im[i];
        out[2 * i + 1] = z->re[i];
    }
}
