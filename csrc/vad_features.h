/* vad_features.h - what the voice-activity network sees of the sound: 36 numbers per hop.
 *
 * Mono float at RT_RATE in hops of RT_HOP samples; a feature is about 0 +- 1 over the speech and noise it was trained on. In order:
 *   0..31   log10 of the power in 32 mel bands from 60 to 7600 Hz, of the last 512 samples under a window that peaks 5 ms before its end,
 *           so that a beginning shows soon
 *   32, 33  log10 of the power of the first and the second half of the hop, low tones turned down (y[n] = x[n] - .95 x[n-1])
 *   34, 35  periodicity: the largest 2 r / (e + e') over lags of 2.5 to 17.25 ms (400 to 58 Hz) and 30 ms of sound at 4 kHz, and the same
 *           times log2(lag / 26): small in noise, high in vowels and tones, small while a sound begins or ends
 * Power has a floor of 1e-10 (-100 dBFS), about the rounding of 16 bits.
 *
 * Besides: the power of the telephone band (200 to 3800 Hz), for a level and a floor to show.
 *
 * No delay is added; all is of the past. One struct serves one stream on one thread. NaN counts as silence, and what is beyond +-4 is cut.
 * Work per hop: one FFT of 512 points, 40 x 48 products for the way to 4 kHz, 40 x 60 for the correlation, 36 logarithms.
 */
#ifndef RT_VAD_FEATURES_H
#define RT_VAD_FEATURES_H

#include "rt.h"

/* cdef begin */
typedef struct rt_vad_features rt_vad_features;

enum { RT_VAD_FEATURES = 36 };

size_t rt_vad_features_size(void);
int rt_vad_features_init(rt_vad_features *f);
void rt_vad_features_reset(rt_vad_features *f);
/* hop: RT_HOP samples; out: RT_VAD_FEATURES numbers. Returns the mean square in the telephone band. */
float rt_vad_features_process(rt_vad_features *f, const float *hop, float *out) RT_NONBLOCKING;
/* `hops` hops in a row: the same, for training; out has hops * RT_VAD_FEATURES numbers. */
void rt_vad_features_many(rt_vad_features *f, const float *sound, uint32_t hops, float *out);
uint32_t rt_vad_features_latency(const rt_vad_features *f); /* samples: 0 */
/* cdef end */

#include "fft.h"

enum { RT_VAD_WINDOW = 512, RT_VAD_BINS = 257, RT_VAD_BANDS = 32 };
/* At 4 kHz. */
enum { RT_VAD_NARROW = 40, RT_VAD_LEAST_LAG = 10, RT_VAD_LAGS = 60, RT_VAD_PAST = 192, RT_VAD_TAPS = 48 };

struct rt_vad_features {
    rt_fft fft;
    float window[RT_VAD_WINDOW];
    float band_share[RT_VAD_BINS];    /* of a bin's power, what goes to the upper of its two bands */
    uint32_t band_of[RT_VAD_BINS];    /* the lower of them, counted from 1; 0 is below the first */
    float band_scale[RT_VAD_BANDS];
    float taps[RT_VAD_TAPS];
    float sound[RT_VAD_WINDOW];       /* the newest at the end */
    float past[RT_VAD_PAST];          /* at 4 kHz, the newest at the end */
    float products[3][RT_VAD_LAGS];   /* of the last three hops, by lag */
    uint32_t turn;                    /* which of them is the oldest */
};

#endif
