/* echo_suppress.h - what the linear filter left of the echo goes too: a gain per band, a gate, and comfort noise in their place.
 *
 * Takes a hop's spectrum as echo_features saw it and the gains and probability of near-end speech that a detector (echo_net or echo_near) made of it;
 * gives mono float at RT_RATE, RT_ECHO_SUPPRESS_DELAY samples (5 ms) late: the window of the way back is the last 15 ms of the 20 looked at.
 *
 * The gate opens when somebody is near (probability of at least open_at for open_hops) and closes hold_hops after it was last close_at. While the
 * loudspeaker sounds, or did within 300 ms, what comes through an open gate has half of the detector's gains in dB (a talker loses
 * less than echo does), not below -26 dB. A closed one has -50 dB, or where it is soft between half of them and twice them, the less near
 * anybody seems, and when nobody does, no more than softly under the room's noise: a talker who is not noticed yet is made softer, not cut off.
 * For 300 ms more the gains are not below -10 dB, whoever is near; then all comes through as it is.
 *
 * Comfort noise follows the room: in each band its power while the loudspeaker is silent and nobody speaks (T. Gerkmann, R. C. Hendriks, IEEE
 * TASLP 2012), lowered at any time when less is heard. In a room that is never quiet the least of its first second is taken, lowered when less is
 * heard that the detector takes for no echo. Added is what the gains took of it, so its level is the room's, open or closed.
 *
 * One flat struct, one stream, one thread. Work: one transform of 480 points, 500 random numbers where there is comfort noise, RT_ECHO_BANDS exponentials and powers.
 */
#ifndef RT_ECHO_SUPPRESS_H
#define RT_ECHO_SUPPRESS_H

#include "rt.h"

/* cdef begin */
typedef struct rt_echo_suppress rt_echo_suppress;

enum { RT_ECHO_SUPPRESS_DELAY = 120 }; /* samples */

typedef struct rt_echo_suppress_config {
    float open_at, close_at; /* 0..1, close_at not above open_at */
    uint32_t open_hops, hold_hops; /* of 10 ms; 1..100 and 0..100 */
    uint32_t soft;           /* 1: a closed gate takes by the detector's gains; 0: -50 dB of everything */
    uint32_t comfort;        /* 1: noise like the room's in place of what is taken away; 0: none */
} rt_echo_suppress_config;

size_t rt_echo_suppress_size(void);
/* RT_BAD_ARGUMENT for a value out of range. */
int rt_echo_suppress_init(rt_echo_suppress *s, const rt_echo_suppress_config *config);
/* The same while sound runs: the room is remembered. */
int rt_echo_suppress_set(rt_echo_suppress *s, const rt_echo_suppress_config *config) RT_NONBLOCKING;
void rt_echo_suppress_reset(rt_echo_suppress *s);
/* Whether the gate is open. */
int rt_echo_suppress_open(const rt_echo_suppress *s) RT_NONBLOCKING;
/* Power of the room's noise, dB re full scale; -120 when none is known. */
float rt_echo_suppress_noise_db(const rt_echo_suppress *s) RT_NONBLOCKING;
uint32_t rt_echo_suppress_latency(const rt_echo_suppress *s); /* RT_ECHO_SUPPRESS_DELAY */
/* cdef end */

#include "echo_features.h"

enum {
    RT_ECHO_TAIL_HOPS = 30,  /* the echo rings on */
    RT_ECHO_CLEAR_HOPS = 60, /* and is gone */
    RT_ECHO_NOISES = RT_ECHO_BANDS + 1 /* with all above 8 kHz */
};

struct rt_echo_suppress {
    rt_echo_suppress_config config;
    float window[RT_ECHO_FRAME];
    float noise_scale;                                      /* from the power of a band to that of a random bin */
    float noise[RT_ECHO_NOISES], smooth[RT_ECHO_NOISES], present[RT_ECHO_NOISES], least[RT_ECHO_NOISES];
    float room; /* mean square of its noise */
    float tail[RT_ECHO_FALL];
    uint32_t learnt, waited, quiet, heard, unheard, open, random;
};

/* gains: RT_ECHO_BANDS, 0..1. near: probability. silent: hops since the loudspeaker last sounded. out: RT_HOP samples. */
void rt_echo_suppress_process(rt_echo_suppress *s, const rt_echo_features *seen, const float *gains, float near, uint32_t silent, float *out) RT_NONBLOCKING;
/* One gain for all, and no gate; -1 keeps the gate shut. */
void rt_echo_suppress_pass(rt_echo_suppress *s, const rt_echo_features *seen, float gain, uint32_t silent, float *out) RT_NONBLOCKING;

#endif
