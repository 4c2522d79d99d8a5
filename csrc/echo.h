/* echo.h - the echo canceller: what the loudspeaker plays, taken out of what the microphone hears, and whether somebody near is speaking.
 *
 * Mono float in [-1, 1] at RT_RATE in hops of RT_HOP samples: a hop of the reference and one of the microphone, captured at the same time or up to
 * 500 ms after it was played, and of one clock (two clocks are made one before: reference.h). Out comes the near end, RT_ECHO_DELAY samples
 * (5 ms) late, and what is known of it. Inside: echo_linear, then echo_features, then who is near (echo_net, or by
 * rule echo_near), then echo_suppress.
 *
 * Three ways, which may change while sound runs; all are as late:
 *   RT_ECHO_CANCEL       all of it
 *   RT_ECHO_LINEAR       the linear filter only: nothing is suppressed, some echo is left
 *   RT_ECHO_HALF_DUPLEX  nothing of the microphone while the loudspeaker sounds, or did within 300 ms of echo: for where nothing else helps
 * The room the echo comes through is learnt in each of them.
 *
 * One flat struct (about 300 kB), one stream, one thread. NaN counts as 0, what is beyond 4 times full scale as that. Work per hop: about 55
 * transforms of 240 points and 6 of 480, 30 000 complex products; twice the filter's when the delay changes.
 */
#ifndef RT_ECHO_H
#define RT_ECHO_H

#include "rt.h"

/* cdef begin */
typedef struct rt_echo rt_echo;

enum { RT_ECHO_DELAY = 120 }; /* samples */

enum rt_echo_way {
    RT_ECHO_CANCEL = 0,
    RT_ECHO_LINEAR = 1,
    RT_ECHO_HALF_DUPLEX = 2
};

/* Who tells whether somebody is near. */
enum rt_echo_judge {
    RT_ECHO_BY_NET = 0, /* echo_net */
    RT_ECHO_BY_RULE = 1 /* echo_near: half the work of the network is saved, and some of its judgement lost */
};

typedef struct rt_echo_config {
    int way;          /* rt_echo_way */
    int judge;        /* rt_echo_judge */
    uint32_t comfort; /* 1, for people: noise like the room's in place of what is suppressed, and a softer gate. 0, for machines: silence */
} rt_echo_config;

/* Of the last hop. */
typedef struct rt_echo_result {
    float near;         /* 0..1: probability that somebody near speaks; .5 is the balanced decision */
    float erle_db;      /* by how much the linear filter takes the echo down, over the last second or so of it; 0 before any */
    float fit;          /* 0..1: what the filter's echo should be multiplied with to fit the microphone best; 1 while it is about right */
    float delay_ms;     /* from reference to echo; -1 while none is known */
    float noise_db;     /* of the room, dB re full scale; -120 while it is not known */
    uint32_t open;      /* the gate lets the near end through */
    uint32_t converged; /* the filter knows the room, or three seconds of reference left no echo to hear */
    uint32_t playing;   /* the loudspeaker sounds, or did within 300 ms of echo */
} rt_echo_result;

size_t rt_echo_size(void);
/* RT_BAD_ARGUMENT for a value out of range. */
int rt_echo_init(rt_echo *echo, const rt_echo_config *config);
/* The same while sound runs: nothing is forgotten. */
int rt_echo_set(rt_echo *echo, const rt_echo_config *config) RT_NONBLOCKING;
/* The room and the delay are to be found anew. */
void rt_echo_reset(rt_echo *echo);
/* RT_HOP samples each; out may be the microphone's memory. result: may be NULL. */
void rt_echo_process(rt_echo *echo, const float *reference, const float *microphone, float *out, rt_echo_result *result) RT_NONBLOCKING;
/* `hops` hops in a row: the same, one result each; results may be NULL. */
void rt_echo_many(rt_echo *echo, const float *reference, const float *microphone, uint32_t hops, float *out, rt_echo_result *results);
uint32_t rt_echo_latency(const rt_echo *echo); /* RT_ECHO_DELAY */
/* cdef end */

#include "echo_linear.h"
#include "echo_near.h"
#include "echo_net.h"
#include "echo_suppress.h"

struct rt_echo {
    rt_echo_config config;
    rt_echo_linear linear;
    rt_echo_features features;
    rt_echo_near near;
    rt_echo_net net;
    rt_echo_suppress suppress;
    rt_echo_result result;
    float before, after;  /* power of the microphone and of what the filter left, where there was an echo and nobody near */
    uint32_t silent;      /* hops since the reference, as old as the echo, sounded */
    uint32_t unanswered;  /* hops of reference without an echo to hear */
    uint32_t right;       /* hops in which the filter was right */
};

#endif
