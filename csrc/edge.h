/* edge.h - no click where sound breaks off or comes back.
 *
 * Mono float at RT_RATE. What is heard passes through rt_edge_process, which remembers its last 5 ms. Where the sound breaks off without
 * an end, rt_edge_break begins a tail: those 5 ms backwards under a falling raised cosine, so that it joins on to the last sample heard;
 * rt_edge_tail writes it, then silence. Where sound comes back, rt_edge_rise puts its first 5 ms under a rising one. After
 * rt_edge_reset it comes as it is, and no later tail reaches back to what was heard before.
 *
 * A part of another block: a flat struct inside the owner's, zeroed memory is as after reset. One thread. No delay.
 * Work: the samples written, RT_EDGE cosines at most; nothing can go wrong.
 */
#ifndef RT_EDGE_H
#define RT_EDGE_H

#include "rt.h"

enum { RT_EDGE = 120 }; /* samples, 5 ms */

typedef struct rt_edge {
    uint32_t rise_left, tail_left;
    uint32_t recent_count;
    float recent[RT_EDGE]; /* heard last, the newest at the end */
} rt_edge;

void rt_edge_reset(rt_edge *edge) RT_NONBLOCKING;
/* A reset, and what comes next rises. */
void rt_edge_rise(rt_edge *edge) RT_NONBLOCKING;
/* In place: the rise if one is under way; the result is remembered as heard. */
void rt_edge_process(rt_edge *edge, float *samples, uint32_t count) RT_NONBLOCKING;

/* The sound has broken off: a tail begins, a rise under way is over. */
void rt_edge_break(rt_edge *edge) RT_NONBLOCKING;
/* Writes `count` samples of the tail and the silence behind it; returns how many were still the tail's. */
uint32_t rt_edge_tail(rt_edge *edge, float *out, uint32_t count) RT_NONBLOCKING;
int rt_edge_has_tail(const rt_edge *edge) RT_NONBLOCKING;
#endif
