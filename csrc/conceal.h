/* conceal.h - makes up for lost hops by going on at the pitch of what was heard, and joins on again without a click.
 *
 * Mono float in [-1, 1] at RT_RATE, a hop of RT_HOP samples at a time or less, or none for lost ones; as many come out, RT_CONCEAL_DELAY
 * samples (3.75 ms) late, the time over which the made-up sound is laid over the last of the real. Written after the description in
 * ITU-T G.711 Appendix I: the pitch (5 to 15 ms) is where the normalised cross-correlation of the last 16 ms is largest; its last
 * period is repeated for 10 ms, the last two for the next 10, then the last three, each joined by an overlap of a quarter period; after
 * 10 ms the level falls by 20 % per 10 ms and is zero from 60 ms on. Sound that comes back is laid over the made-up sound for a quarter
 * period and 2 ms, 4 ms more per further lost hop, 10 ms at most. Every overlap is a raised cosine. No comfort noise: the fade ends in silence.
 *
 * One flat struct, one stream, one thread. Samples that are not finite, beyond 8 times full scale or below 1e-15 count as 0. Without loss the
 * samples come out as they went in. Work: RT_HOP samples moved; at the start of a loss about 18 000 multiplications more (search at
 * 6 kHz, then 9 lags at 24 kHz), at the first four hops of it and at its end at most 600 more. Nothing can go wrong.
 */
#ifndef RT_CONCEAL_H
#define RT_CONCEAL_H

#include "rt.h"

/* cdef begin */
typedef struct rt_conceal rt_conceal;

enum { RT_CONCEAL_DELAY = 90 /* samples */ };

size_t rt_conceal_size(void);
int rt_conceal_init(rt_conceal *conceal);
void rt_conceal_reset(rt_conceal *conceal);
/* hop: RT_HOP samples, or NULL for a lost hop. out: RT_HOP samples, may be hop. Returns 1 if this hop was made up, 0 if not. */
int rt_conceal_process(rt_conceal *conceal, const float *hop, float *out) RT_NONBLOCKING;
/* The same for any count of samples up to RT_HOP, so that a loss may begin and end inside a hop: sound NULL for lost ones. */
void rt_conceal_part(rt_conceal *conceal, const float *sound, uint32_t count, float *out) RT_NONBLOCKING;
/* The sound to come does not continue what was heard: it is laid over what would have, as after a loss of no length. */
void rt_conceal_seam(rt_conceal *conceal) RT_NONBLOCKING;
uint32_t rt_conceal_lost(const rt_conceal *conceal); /* whole hops lost in a row up to now */
uint32_t rt_conceal_pitch(const rt_conceal *conceal); /* samples, of the loss under way or the last one; 0 before any */
uint32_t rt_conceal_latency(const rt_conceal *conceal); /* RT_CONCEAL_DELAY */
/* cdef end */

enum {
    RT_CONCEAL_LEAST = 120, /* 5 ms: the shortest period */
    RT_CONCEAL_MOST = 360,  /* 15 ms: the longest */
    RT_CONCEAL_KEPT = 3 * RT_CONCEAL_MOST + RT_CONCEAL_DELAY
};

struct rt_conceal {
    uint32_t lost;     /* samples, in a row, up to now */
    uint32_t pitch;
    uint32_t periods;  /* repeated: 1 to 3 */
    uint32_t position; /* in the repeated part */
    uint32_t joint_left;                      /* of the overlap at which a period was added */
    uint32_t overlap, return_left, returning; /* of sound that came back after so many lost samples */
    float joint[RT_CONCEAL_DELAY];
    float kept[RT_CONCEAL_KEPT];   /* real and made up, newest last; the last RT_CONCEAL_DELAY are still to come out */
    float source[RT_CONCEAL_KEPT]; /* as kept when the loss began; its end is joined to the start of the repeated part */
    float ending[RT_CONCEAL_DELAY]; /* the last quarter period before the loss, as it was */
};

#endif
