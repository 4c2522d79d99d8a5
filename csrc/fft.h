/* fft.h - the discrete Fourier transform of real sound, shared by all blocks that look at a spectrum.
 *
 * RT_FFT_LEAST to RT_FFT_MOST real samples, an even number whose half is a product of 2, 3, 4 and 5 (480 and 512 are what blocks use),
 * to half as many bins and one more, and back: X[k] = sum of x[i] exp(-2 pi i k / n); back again divides by n, so both together give
 * what went in, within 1e-6 of the largest sample. Computed as a complex transform of half the length (Stockham's order, radix 5, 4, 3
 * and 2), real and imaginary parts apart, so that compilers vectorise it.
 *
 * The tables are made by init and only read after it: one serves any number of threads. A flat struct inside the owner's; no memory but
 * 4 kB of stack. Work: about 5 n log2 n operations. Nothing can go wrong but a length that init refuses.
 */
#ifndef RT_FFT_H
#define RT_FFT_H

#include "rt.h"

enum { RT_FFT_LEAST = 4, RT_FFT_MOST = 512, RT_FFT_BINS = RT_FFT_MOST / 2 + 1, RT_FFT_STAGES = 8 };

typedef struct rt_fft {
    uint32_t n, stages, radix[RT_FFT_STAGES];
    float turn[RT_FFT_MOST / 2], slip[RT_FFT_MOST / 2]; /* cosine and sine of each stage's twiddles, one stage after the other */
    float half_turn[RT_FFT_BINS], half_slip[RT_FFT_BINS]; /* of k / n: between the halves */
} rt_fft;

/* RT_BAD_ARGUMENT for a length that is not as above. */
int rt_fft_init(rt_fft *fft, uint32_t n);
/* in: n samples. re, im: n / 2 + 1 bins; im of the first and last is 0. */
void rt_fft_forward(const rt_fft *fft, const float *in, float *re, float *im) RT_NONBLOCKING;
/* The other way; im of the first and last bin is not read. */
void rt_fft_backward(const rt_fft *fft, const float *re, const float *im, float *out) RT_NONBLOCKING;

#endif
