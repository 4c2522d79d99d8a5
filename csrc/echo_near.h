/* echo_near.h - tells somebody who speaks from echo that leaked, by rule: for where there are no weights, and to compare the network with.
 *
 * Takes RT_ECHO_FEATURES numbers per hop (echo_features.h); gives the probability that somebody is near, and a gain per band. Per band it knows how
 * much of the echo the filter leaves (power of e over y, dB, mean and deviation over a quarter of a second in which nobody spoke) and how loud the
 * echo is beside the reference (d over x, alike). Somebody is near when e over y is beyond what it was by more than a deviation in the mean of the
 * bands; while the filter is wrong (Re<d,y> / <y,y> not within .65 .. 1.5) d over x must be so too. What is within 5 dB of a band's least counts for
 * nobody. While somebody is near, both means only sink. The first 200 ms of an echo count as echo. Without any, somebody is near who is 9 dB above
 * the least heard.
 *
 * No delay. One flat struct, one stream, one thread. Work: RT_ECHO_BANDS times a power and a root.
 */
#ifndef RT_ECHO_NEAR_H
#define RT_ECHO_NEAR_H

#include "rt.h"

/* cdef begin */
typedef struct rt_echo_near rt_echo_near;

size_t rt_echo_near_size(void);
int rt_echo_near_init(rt_echo_near *n);
void rt_echo_near_reset(rt_echo_near *n);
/* features: RT_ECHO_FEATURES; gains: RT_ECHO_BANDS, 0..1. Returns the probability; half is the balanced decision. */
float rt_echo_near_process(rt_echo_near *n, const float *features, float *gains) RT_NONBLOCKING;
uint32_t rt_echo_near_latency(const rt_echo_near *n); /* samples: 0 */
/* cdef end */

#include "echo_features.h"

/* Of one ratio in one band, dB. */
typedef struct rt_echo_usual {
    float mean, away;
} rt_echo_usual;

struct rt_echo_near {
    rt_echo_usual rest[RT_ECHO_BANDS], loud[RT_ECHO_BANDS]; /* e over y, d over x */
    uint32_t met[RT_ECHO_BANDS];                            /* hops with an echo in the band, up to LEARNING */
    uint32_t held;                                          /* hops for which somebody is still near */
    float level[RT_ECHO_BANDS], floor[RT_ECHO_BANDS];       /* features: of what is left, smoothed, and the least of that */
    float least;                                            /* feature of the power heard */
};

#endif
