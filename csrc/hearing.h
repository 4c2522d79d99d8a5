/* hearing.h - what the microphone's sound goes through before anything is decided on it, and before it is sent. Each part is optional.
 *
 *   rt_hearing_hear:   [high-pass]                       ▶ what the detector hears
 *   rt_hearing_shape:  [noise reduction] ▶ [level]       ▶ stages, gate
 *
 * Mono float in [-1, 1] at RT_RATE, in hops of RT_HOP samples, in place. What `hear` gives is rt_hearing_heard hops older than what went
 * in, and what `shape` gives rt_hearing_shaped hops older than that: whole hops, so that every hop keeps the number under which it was
 * captured. The first hops that come out are silence of before the beginning; their owner throws them away.
 *
 * One flat struct, its parts behind it, one stream, one thread; memcpy copies it. Work: that of the parts (highpass.h, denoise.h, agc.h).
 * The figures may be read by any thread.
 */
#ifndef RT_HEARING_H
#define RT_HEARING_H

#include "rt.h"

/* cdef begin */
typedef struct rt_hearing rt_hearing;

enum rt_noise_reduction { RT_NOISE_REDUCTION_OFF = 0, RT_NOISE_REDUCTION_NEAR = 1, RT_NOISE_REDUCTION_FAR = 2 };

typedef struct rt_hearing_config {
    float highpass_hz;    /* 0: none; 20..400 */
    int noise_reduction;  /* enum rt_noise_reduction: none, near_field, far_field */
    float noise_strength; /* 0..2, of the preset; 0 where there is none */
    float agc_dbfs;       /* 0: none; -40..-6, of the root mean square of speech */
    float agc_most_db;    /* 0..40 */
} rt_hearing_config;

typedef struct rt_hearing_stats {
    float noise_db; /* power of the estimated noise, dB re full scale; -120 when none is known, or nothing reduces it */
    float agc_db;   /* gain of the level at the end of the last hop */
} rt_hearing_stats;

size_t rt_hearing_size(const rt_hearing_config *config); /* 0: refused */
int rt_hearing_init(rt_hearing *hearing, const rt_hearing_config *config);
void rt_hearing_reset(rt_hearing *hearing);
/* In place: what the detector hears. */
void rt_hearing_hear(rt_hearing *hearing, float *hop) RT_NONBLOCKING;
/* In place: what is sent. `probability` of speech in what was heard last, 0..1. */
void rt_hearing_shape(rt_hearing *hearing, float *hop, float probability) RT_NONBLOCKING;
/* Hops that `hear` adds, and those that `shape` adds to them. */
uint32_t rt_hearing_heard(const rt_hearing *hearing);
uint32_t rt_hearing_shaped(const rt_hearing *hearing);
uint32_t rt_hearing_latency(const rt_hearing *hearing); /* samples: both */
/* Any thread. One snapshot; RT_FULL as in board.h. */
int rt_hearing_read_stats(const rt_hearing *hearing, rt_hearing_stats *stats);
/* cdef end */

#include "board.h"

enum { RT_HEARING_MOST = 2 }; /* hops of delay, together */

struct rt_hearing {
    rt_hearing_config config;
    size_t highpass_offset, denoise_offset, agc_offset; /* 0: none */
    rt_hearing_stats stats;
    rt_board board;
};

#endif
