/* denoise.h - a light suppressor of steady noise, for the `noise_reduction` of a session: near_field and far_field.
 *
 * Mono float in [-1, 1] at RT_RATE in hops of RT_HOP samples, in place; what comes out is RT_DENOISE_DELAY samples (10 ms) late, whatever the
 * strength. Spectra of 20 ms under the root of a Hann window, half overlapping, in RT_DENOISE_BANDS bands of equal width in mel. Per band
 * the noise follows the probability that speech is present (T. Gerkmann, R. C. Hendriks, "Unbiased MMSE-Based Noise Power Estimation with Low
 * Complexity and Low Tracking Delay", IEEE TASLP 2012); the gain is the log-spectral one of Y. Ephraim and D. Malah (IEEE TASSP 1985) with
 * their decision-directed SNR, raised to the preset's power and no lower than its floor: a gentle rule, which takes the noise down by some
 * 8 dB near and 12 dB far and leaves soft speech alone. Between band centres the gain runs in a straight line.
 *
 * Strength 1 is the preset, 0 none (the sound comes through, late, within 1e-6), up to 2 more. Digital silence teaches it nothing,
 * so a muted microphone is not taken for a quiet room. NaN and what is below 1e-15 counts as 0, what is beyond 4 times full scale as that.
 *
 * One flat struct, one stream, one thread. Work: two transforms of 480 points and RT_DENOISE_BANDS times four functions of libm.
 */
#ifndef RT_DENOISE_H
#define RT_DENOISE_H

#include "rt.h"

/* cdef begin */
typedef struct rt_denoise rt_denoise;

enum {
    RT_DENOISE_DELAY = 240, /* samples */
    RT_DENOISE_BANDS = 24
};

enum rt_denoise_preset {
    RT_DENOISE_NEAR = 0, /* a headset or a telephone at the mouth */
    RT_DENOISE_FAR = 1   /* a laptop or a kiosk across the room */
};

size_t rt_denoise_size(void);
/* strength: 0..2. RT_BAD_ARGUMENT for another preset or strength. */
int rt_denoise_init(rt_denoise *denoise, int preset, float strength);
/* The same while sound runs: what is known of the noise stays. */
int rt_denoise_set(rt_denoise *denoise, int preset, float strength) RT_NONBLOCKING;
void rt_denoise_reset(rt_denoise *denoise);
void rt_denoise_process(rt_denoise *denoise, float *hop) RT_NONBLOCKING;
/* Power of the estimated noise, dB re full scale (-120 when none is known). */
float rt_denoise_noise_db(const rt_denoise *denoise) RT_NONBLOCKING;
uint32_t rt_denoise_latency(const rt_denoise *denoise); /* RT_DENOISE_DELAY */
/* cdef end */

#include "fft.h"

enum { RT_DENOISE_FRAME = 2 * RT_HOP, RT_DENOISE_BINS = RT_HOP + 1 };

struct rt_denoise {
    rt_fft fft;
    float window[RT_DENOISE_FRAME];
    uint32_t band[RT_DENOISE_BINS]; /* the centre at or below each bin */
    float share[RT_DENOISE_BINS];   /* 0..1: of the centre above it */
    float weight[RT_DENOISE_BANDS]; /* 1 over the sum of a band's shares */
    float power, floor;             /* of the gain; linear */
    uint32_t learnt;                /* hops at the start, up to LEARNING */
    float past[RT_HOP], tail[RT_HOP];
    float noise[RT_DENOISE_BANDS], present[RT_DENOISE_BANDS], clean[RT_DENOISE_BANDS];
};

#endif
