/* echo_features.h - what the near-end network sees of an echo canceller's signals: RT_ECHO_KINDS numbers in each of RT_ECHO_BANDS bands.
 *
 * Mono float at RT_RATE in hops of RT_HOP samples: what the linear filter left (e), the echo it estimated (y; the microphone is their sum,
 * d = e + y), and the reference as old as the echo (x). Looked at are the last 20 ms under a window that rises over 15 ms and falls over 5 (roots
 * of a Hann window's halves), in triangular bands whose centres lie evenly in mel from 50 to 8000 Hz. Band by band, kind after kind (feature
 * `kind * RT_ECHO_BANDS + band`):
 *   0..3  log10 of the power of e, y, d and x (of x the most of the last four hops: a room rings on), as (log10(p + 1e-10) + 6) / 1.5; p is
 *         the mean square of white noise as loud as the band, so that full scale is about 4, and -2.7 the floor (-100 dBFS, as 16 bits round)
 *   4     log10 of the power of e over that of y, by 1.5; -4..4
 *   5     Re<e,y> / <y,y>, -2..2: 0 where the filter is right, also while somebody talks; towards -1 at once when the room has changed
 *         (it is Re<d,y> / <y,y> less 1); 0 where there is no echo to speak of
 *   6     Re<e,y> / sqrt(<e,e> <y,y>), -1..1: how much of what is left moves with the estimate
 * In 5 and 6 each <,> is a mean over the band and, leaking, over some 40 ms.
 *
 * Besides, for those that come after: the spectrum of e and the band powers. `rt_echo_features_gain` is the way back, from a gain per band to one per
 * bin: a straight line between the centres, the last one's above 8 kHz.
 *
 * No delay; all is of the past. One flat struct, one stream, one thread. NaN counts as 0, what is beyond 4 times full scale as that. Work: three
 * transforms of 480 points, 88 logarithms.
 */
#ifndef RT_ECHO_FEATURES_H
#define RT_ECHO_FEATURES_H

#include "rt.h"

/* cdef begin */
typedef struct rt_echo_features rt_echo_features;

enum {
    RT_ECHO_BANDS = 22,
    RT_ECHO_KINDS = 7,
    RT_ECHO_FEATURES = 154
};

/* Whose band powers. */
enum rt_echo_sound {
    RT_ECHO_LEFT = 0,
    RT_ECHO_ESTIMATE = 1,
    RT_ECHO_MICROPHONE = 2,
    RT_ECHO_REFERENCE = 3
};

size_t rt_echo_features_size(void);
int rt_echo_features_init(rt_echo_features *f);
void rt_echo_features_reset(rt_echo_features *f);
/* RT_HOP samples of each sound; out: RT_ECHO_FEATURES numbers. */
void rt_echo_features_process(rt_echo_features *f, const float *left, const float *echo, const float *reference, float *out) RT_NONBLOCKING;
/* `hops` hops in a row: the same, for training. `powers`: of what is left, RT_ECHO_BANDS numbers per hop; NULL if not wanted. */
void rt_echo_features_many(rt_echo_features *f, const float *left, const float *echo, const float *reference, uint32_t hops, float *out, float *powers);
/* Of the last hop, RT_ECHO_BANDS numbers of one rt_echo_sound, as p above. */
void rt_echo_features_power(const rt_echo_features *f, int sound, float *out) RT_NONBLOCKING;
uint32_t rt_echo_features_latency(const rt_echo_features *f); /* samples: 0 */
/* cdef end */

#include "fft.h"

enum {
    RT_ECHO_FRAME = 2 * RT_HOP,
    RT_ECHO_FALL = 120,    /* samples in which the window falls, 5 ms */
    RT_ECHO_LINES = 241,   /* bins of 50 Hz */
    RT_ECHO_ECHOES = 4     /* hops that the reference counts for */
};

struct rt_echo_features {
    rt_fft fft;
    float window[RT_ECHO_FRAME];
    uint32_t band[RT_ECHO_LINES]; /* the centre at or below each bin */
    float share[RT_ECHO_LINES];   /* 0..1: of the centre above it */
    float weight[RT_ECHO_BANDS];  /* 1 over the sum of a band's shares, of bins up to 8 kHz */
    float past[3][RT_HOP];        /* the last hop of e, y, x */
    float re[RT_ECHO_LINES], im[RT_ECHO_LINES];           /* of e */
    float echo_re[RT_ECHO_LINES], echo_im[RT_ECHO_LINES]; /* of y */
    float power[4][RT_ECHO_BANDS];              /* by rt_echo_sound */
    float references[RT_ECHO_ECHOES][RT_ECHO_BANDS];
    float both[RT_ECHO_BANDS], left[RT_ECHO_BANDS], echo[RT_ECHO_BANDS]; /* <e,y>, <e,e>, <y,y> */
    uint32_t turn;                                                       /* of `references` */
};

/* Gives a share of y back to the spectrum of e, for an estimate that is too loud. The features have been made. */
void rt_echo_features_return(rt_echo_features *f, float share) RT_NONBLOCKING;
/* gains: RT_ECHO_BANDS; out: RT_ECHO_LINES. */
void rt_echo_features_gain(const rt_echo_features *f, const float *gains, float *out) RT_NONBLOCKING;

#endif
