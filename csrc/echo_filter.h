/* echo_filter.h - what of the microphone's sound is the loudspeaker's, as far as a linear filter can tell.
 *
 * A partitioned Kalman filter in the frequency domain: RT_ECHO_PARTS blocks of 5 ms (180 ms of room), overlap-save (G. Enzner, P. Vary,
 * "Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free telephones", Signal Processing 2006, in the partitioned
 * diagonal form). Its step follows from how uncertain each tap still is and from how much else the microphone hears, so it stays as it is
 * while both talk, and no double-talk detector stands before it. Each hop a quarter of the partitions in turn are held to causal taps.
 *
 * Mono float at RT_RATE, hops of RT_HOP samples. The reference goes in first, then the microphone; out come what is left and the estimated
 * echo, their sum being the microphone. `move` says how old the reference is that the first tap hears: RT_ECHO_LEAD hops before the delay
 * found, since rooms (and estimates) begin early; the taps stay as they are, and become uncertain. `jump` says by how many samples the delay
 * moved, for a room that is the same: so do the taps, a little. `shift` moves reference and taps alike, and nothing changes: it was drift. No delay.
 *
 * One flat struct (about 150 kB), one thread. Above 8.3 kHz nothing is taken away. NaN counts as 0. Work per hop: about 45 transforms of 240 points
 * and 25 000 complex products, twice that at a move.
 */
#ifndef RT_ECHO_FILTER_H
#define RT_ECHO_FILTER_H

#include "rt.h"

/* cdef begin */
typedef struct rt_echo_filter rt_echo_filter;

enum {
    RT_ECHO_PARTS = 36,   /* of RT_ECHO_BLOCK samples */
    RT_ECHO_BLOCK = 120,  /* samples, 5 ms */
    RT_ECHO_LEAD = 3,     /* hops */
    RT_ECHO_FARTHEST = 52 /* hops that `move` may say */
};

size_t rt_echo_filter_size(void);
int rt_echo_filter_init(rt_echo_filter *filter);
void rt_echo_filter_reset(rt_echo_filter *filter);
/* hops: 0..RT_ECHO_FARTHEST; further counts as that. */
void rt_echo_filter_move(rt_echo_filter *filter, int hops) RT_NONBLOCKING;
/* Later by so many samples, to the ends of what `move` may say. */
void rt_echo_filter_jump(rt_echo_filter *filter, int samples) RT_NONBLOCKING;
/* Looks at what is older by so many hops, with taps moved back by as many. */
void rt_echo_filter_shift(rt_echo_filter *filter, int hops) RT_NONBLOCKING;
/* Samples: how old the reference is that the first tap hears. */
uint32_t rt_echo_filter_lag(const rt_echo_filter *filter) RT_NONBLOCKING;
/* RT_HOP samples each. left and echo may be the microphone's memory, not each other's. */
void rt_echo_filter_process(rt_echo_filter *filter, const float *reference, const float *microphone, float *left, float *echo) RT_NONBLOCKING;
uint32_t rt_echo_filter_latency(const rt_echo_filter *filter); /* samples: 0 */
/* cdef end */

#include "fft.h"

enum {
    RT_ECHO_FFT = 2 * RT_ECHO_BLOCK,
    RT_ECHO_BINS = RT_ECHO_BLOCK + 1,
    RT_ECHO_ROW = 84, /* bins that are filtered, up to 8.3 kHz: above, a room is not worth its taps */
    RT_ECHO_PAST = (RT_ECHO_FARTHEST + 1) * RT_HOP + (RT_ECHO_PARTS + 1) * RT_ECHO_BLOCK /* samples of the reference */
};

typedef struct rt_echo_spectrum {
    float re[RT_ECHO_ROW], im[RT_ECHO_ROW];
} rt_echo_spectrum;

struct rt_echo_filter {
    rt_fft fft;
    uint32_t lag;         /* samples */
    uint32_t newest;      /* row of `heard` */
    uint32_t turn;        /* the partition whose taps are held causal next */
    uint32_t met;         /* blocks with sound in both since the beginning, up to MEETING */
    uint32_t active;      /* whether anything has sounded in the reference that the taps see */
    float met_mic[RT_ECHO_ROW], met_ref[RT_ECHO_ROW]; /* power in them */
    float near[RT_ECHO_ROW];                          /* power of what is left */
    float past[RT_ECHO_PAST];                         /* of the reference, newest last */
    rt_echo_spectrum heard[RT_ECHO_PARTS];            /* of the reference: a ring */
    rt_echo_spectrum taps[RT_ECHO_PARTS];
    float unsure[RT_ECHO_PARTS][RT_ECHO_ROW];
};

#endif
