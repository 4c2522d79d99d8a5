/* The transform against the sum that defines it, there and back, and what it refuses. */
#include "check.h"
#include "fft.h"

static unsigned long long seed = 20261120;

static float noise(void) { return (float)(check_random(&seed) % 20001) / 10000.0f - 1.0f; }

static void against_the_definition(uint32_t n)
{
    static rt_fft fft;
    float x[RT_FFT_MOST], back[RT_FFT_MOST], re[RT_FFT_BINS], im[RT_FFT_BINS];
    CHECK_EQUAL(rt_fft_init(&fft, n), RT_OK);
    for (uint32_t i = 0; i < n; i++)
        x[i] = noise();
    rt_fft_forward(&fft, x, re, im);
    for (uint32_t k = 0; k <= n / 2; k++) {
        double r = 0, j = 0;
        for (uint32_t i = 0; i < n; i++) {
            r += x[i] * cos(6.28318530717958647692 * ((double)i * k / n));
            j -= x[i] * sin(6.28318530717958647692 * ((double)i * k / n));
        }
        CHECK_NEAR(re[k], r, 2e-5 * sqrt(n));
        CHECK_NEAR(im[k], j, 2e-5 * sqrt(n));
    }
    CHECK_EQUAL(im[0], 0);
    CHECK_EQUAL(im[n / 2], 0);
    rt_fft_backward(&fft, re, im, back);
    for (uint32_t i = 0; i < n; i++)
        CHECK_NEAR(back[i], x[i], 1e-6);
}

static void refuses(void)
{
    static const uint32_t bad[] = {0, 1, 2, 3, 7, 14, 22, 481, 514, 1024};
    static rt_fft fft;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQUAL(rt_fft_init(&fft, bad[i]), RT_BAD_ARGUMENT);
}

int main(void)
{
    static const uint32_t lengths[] = {4, 6, 8, 10, 12, 16, 20, 30, 60, 64, 120, 240, 256, 360, 480, 500, 512};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        against_the_definition(lengths[i]);
    refuses();
    return CHECK_DONE();
}
