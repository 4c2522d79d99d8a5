/* voicing.h - has what is heard a pitch? What tells a voice from a knock, a cough or a rustle.
 *
 * Mono float at RT_RATE in hops of RT_HOP samples; returns the highest peak of the normalized autocorrelation of the last 44 ms in
 * the band of 100 to 900 Hz, at lags of 2.5 to 14 ms (400 to 71 Hz): 1 for a steady vowel or tone, usually above 0.7 in voiced speech,
 * below 0.5 in noise. It is measured as 2 r / (e + e'), which is small while a sound begins or ends, so a click has none.
 *
 * No delay is added; a voice needs 20 to 30 ms before its pitch shows. One detector serves one stream on one thread.
 * Work per hop: 3 biquads over RT_HOP samples, 50 correlations of 120 samples. NaN counts as silence.
 */
#ifndef RT_VOICING_H
#define RT_VOICING_H

#include "rt.h"

/* cdef begin */
typedef struct rt_voicing rt_voicing;

size_t rt_voicing_size(void);
int rt_voicing_init(rt_voicing *voicing);
void rt_voicing_reset(rt_voicing *voicing);
/* hop: RT_HOP samples. Returns 0..1. */
float rt_voicing_process(rt_voicing *voicing, const float *hop) RT_NONBLOCKING;
uint32_t rt_voicing_latency(const rt_voicing *voicing); /* samples: 0 */
/* cdef end */

#include "biquad.h"

/* At 4 kHz. */
enum { RT_VOICING_WINDOW = 120, RT_VOICING_LEAST_LAG = 10, RT_VOICING_MOST_LAG = 57, RT_VOICING_HISTORY = 180 };

struct rt_voicing {
    rt_biquad high_pass, low_pass[2];
    float history[RT_VOICING_HISTORY]; /* the newest at the end */
};

#endif
