/* agc.h - brings a voice to one level, near or far, and leaves the room where it is.
 *
 * Mono float in [-1, 1] at RT_RATE in hops of RT_HOP samples, in place. The level is that of speech: the hops that the caller's detector
 * calls speech (probability 0.5 and up), their mean square over about 400 ms of it, louder ones sooner. The gain that takes it to the target
 * rises by 6 dB per second at most and falls by 30, within -most_db..most_db. Between words it goes back, within 200 ms, to what lifts
 * the room's noise by no more than RT_AGC_ROOM_DB above what came in, and to the voice's gain within 20 ms when speech begins. Then a
 * limiter (that of volume.h) holds peaks within full scale.
 *
 * Without speech the gain stays; before any it is 0 dB. A whisper below -70 dBFS and digital silence teach it nothing. One flat struct, one
 * stream, one thread. NaN becomes silence. No delay. Work: RT_HOP samples, a logarithm and an exponential.
 */
#ifndef RT_AGC_H
#define RT_AGC_H

#include "rt.h"

/* cdef begin */
typedef struct rt_agc rt_agc;

enum { RT_AGC_ROOM_DB = 6 };

size_t rt_agc_size(void);
/* target_dbfs: -40..-6, of the root mean square of speech. most_db: 0..40. */
int rt_agc_init(rt_agc *agc, float target_dbfs, float most_db);
void rt_agc_reset(rt_agc *agc);
/* One hop; `probability` of speech in it, 0..1. */
void rt_agc_process(rt_agc *agc, float *hop, float probability) RT_NONBLOCKING;
float rt_agc_gain_db(const rt_agc *agc) RT_NONBLOCKING; /* at the end of the last hop */
uint32_t rt_agc_latency(const rt_agc *agc); /* samples: 0 */
/* cdef end */

#include "volume.h"

struct rt_agc {
    float target_db, most_db;
    float level;        /* mean square of speech, 0 before any */
    float voice_db;     /* gain for the voice */
    float gain_db, gain; /* at the end of the last hop; and linear */
    uint32_t quiet;     /* hops since speech */
    rt_volume limiter;
};

#endif
