/* hearing.h - what the microphone's sound goes through before anything is decided on it, and before it is sent. Each part is optional.
 *
 *   rt_hearing_hear:   [high-pass] ▶ [echo canceller] ▶ what the detector hears
 *   rt_hearing_shape:  [noise reduction] ▶ [level]    ▶ stages, gate
 *
 * Mono float in [-1, 1] at RT_RATE, in hops of RT_HOP samples, in place. What `hear` gives is rt_hearing_late samples older than what went
 * in (less than a hop), and what `shape` gives rt_hearing_shaped whole hops older than that, so that every hop keeps the number under which
 * it was captured. The first hops that come out of `shape` are silence of before the beginning; their owner throws them away.
 *
 * Echo (echo.h), in four modes:
 *   OFF          nothing: headphones. The reference is not looked at.
 *   AEC          the canceller. While the loudspeaker sounds, speech counts for an interruption only where the canceller finds somebody near, or
 *                does not rule it out for 200 ms of clear speech; not while its filter does not fit what is heard, and until it has learnt the
 *                room only from `unsure_threshold` on (rt_hearing_near).
 *   HALF_DUPLEX  the last resort: while something plays, and as long after it as its echo is on its way (300 ms more), silence takes the
 *                microphone's place, and nobody can interrupt. The delay is learnt all the same.
 *   AUTO         AEC, and half duplex in its place from when an echo was heard for 10 s of playing without the canceller learning to take it
 *                away, until it has (it goes on learning). Where there is no echo to find, as with headphones, three seconds of playing
 *                make the canceller sure of that, and interruptions are as easy as in OFF.
 *
 * One flat struct, its parts behind it, one stream, one thread; memcpy copies it. Work: that of the parts (highpass.h, echo.h, denoise.h,
 * agc.h). The figures may be read by any thread.
 */
#ifndef RT_HEARING_H
#define RT_HEARING_H

#include "rt.h"

/* cdef begin */
typedef struct rt_hearing rt_hearing;

enum rt_echo_mode { RT_ECHO_MODE_OFF = 0, RT_ECHO_MODE_AEC = 1, RT_ECHO_MODE_HALF_DUPLEX = 2, RT_ECHO_MODE_AUTO = 3 };
enum rt_noise_reduction { RT_NOISE_REDUCTION_OFF = 0, RT_NOISE_REDUCTION_NEAR = 1, RT_NOISE_REDUCTION_FAR = 2 };

typedef struct rt_hearing_config {
    int echo;               /* enum rt_echo_mode */
    int comfort_noise;      /* 1: noise like the room's in place of what is suppressed; 0: none */
    float unsure_threshold; /* 0..1, probability of speech that may interrupt until the canceller has learnt the room */
    float highpass_hz;      /* 0: none; 20..400 */
    int noise_reduction;    /* enum rt_noise_reduction: none, near_field, far_field */
    float noise_strength;   /* 0..2, of the preset; 0 where there is none */
    float agc_dbfs;         /* 0: none; -40..-6, of the root mean square of speech */
    float agc_most_db;      /* 0..40 */
} rt_hearing_config;

typedef struct rt_hearing_stats {
    uint64_t closed_hops; /* in which half duplex sent silence */
    uint64_t changes;     /* of the mode in force (AUTO) */
    int32_t echo;         /* enum rt_echo_mode in force: OFF, AEC or HALF_DUPLEX */
    uint32_t converged;   /* the canceller knows the room, or that there is no echo */
    uint32_t playing;     /* the loudspeaker sounds, or its echo does */
    float near;           /* 0..1: probability that somebody near speaks */
    float erle_db;        /* by how much the canceller's filter takes the echo down; 0 before any */
    float delay_ms;       /* from reference to echo; -1 while none is known */
    float noise_db;       /* power of the estimated noise, dB re full scale; -120 when none is known, or nothing reduces it */
    float agc_db;         /* gain of the level at the end of the last hop */
} rt_hearing_stats;

size_t rt_hearing_size(const rt_hearing_config *config); /* 0: refused */
int rt_hearing_init(rt_hearing *hearing, const rt_hearing_config *config);
void rt_hearing_reset(rt_hearing *hearing);
/* In place: what the detector hears. `reference`: what the loudspeaker plays, RT_HOP samples, read only with echo. `playing`: a reply is under way,
 * also in its pauses. `talk`: the button of push-to-talk is held, so half duplex does not act. */
void rt_hearing_hear(rt_hearing *hearing, float *hop, const float *reference, int playing, int talk) RT_NONBLOCKING;
/* Once after each `hear`, of what was heard: the probability of near-end speech for an interruption, where the detector says `probability`. */
float rt_hearing_near(rt_hearing *hearing, float probability) RT_NONBLOCKING;
/* In place: what is sent. `probability` of speech in what was heard last, 0..1. */
void rt_hearing_shape(rt_hearing *hearing, float *hop, float probability) RT_NONBLOCKING;
/* Samples that `hear` adds, and hops that `shape` adds to them. */
uint32_t rt_hearing_late(const rt_hearing *hearing);
uint32_t rt_hearing_shaped(const rt_hearing *hearing);
uint32_t rt_hearing_latency(const rt_hearing *hearing); /* samples: both */
/* Any thread. One snapshot; RT_FULL as in board.h. */
int rt_hearing_read_stats(const rt_hearing *hearing, rt_hearing_stats *stats);
/* cdef end */

#include "board.h"
#include "echo.h"

enum { RT_HEARING_MOST = 2 }; /* hops of delay, together */

struct rt_hearing {
    rt_hearing_config config;
    size_t highpass_offset, echo_offset, denoise_offset, agc_offset; /* 0: none */
    rt_echo_result echo;          /* of the last hop */
    int half, way;                /* half duplex is in force; the canceller's way (enum rt_echo_way) */
    uint32_t clear_hops;           /* of lasting speech */
    uint32_t lost_hops, sure_hops; /* of playing, with an echo that the canceller does not master; and that it does */
    rt_hearing_stats stats;
    rt_board board;
};

#endif
