/* lag.h - whose samples are inside a block that delays them: for a ledger that counts a sample when it has left, not when it went in.
 *
 * A line of `delay` samples. Runs go in at one end, each with the row of the ledger it belongs to (RT_LAG_NONE: padding, belongs to
 * nobody); what is beyond the delay comes out at the other, in order. A run of no length may carry samples that were skipped: they
 * come out when its place in the line does.
 *
 * A part of another block: a flat struct inside the owner's. One thread. Nothing can go wrong as long as each push is followed by pops
 * until nothing is beyond the delay: then a line holds `delay` runs of a sample at most, and RT_LAG_SKIPS without length; the delay is
 * RT_LAG_MOST at most. Work: constant per call.
 */
#ifndef RT_LAG_H
#define RT_LAG_H

#include "rt.h"

enum { RT_LAG_MOST = 160, RT_LAG_SKIPS = 8, RT_LAG_RUNS = RT_LAG_MOST + RT_LAG_SKIPS + 2, RT_LAG_NONE = -1 };

typedef struct rt_lag_run {
    int32_t row;
    uint32_t frames;
    uint32_t skipped; /* 1: no length in the line, `frames` come out at once */
} rt_lag_run;

typedef struct rt_lag {
    uint32_t delay, total; /* samples */
    uint32_t first, count;
    rt_lag_run runs[RT_LAG_RUNS];
} rt_lag;

/* RT_BAD_ARGUMENT for a delay above RT_LAG_MOST. */
int rt_lag_init(rt_lag *lag, uint32_t delay);
void rt_lag_push(rt_lag *lag, int32_t row, uint32_t frames) RT_NONBLOCKING;
void rt_lag_skip(rt_lag *lag, int32_t row, uint32_t frames) RT_NONBLOCKING;
/* The oldest run, or what of it is beyond the last `keep` samples (lag->delay, or 0 to empty the line). 0 when there is none. */
int rt_lag_pop(rt_lag *lag, uint32_t keep, rt_lag_run *run) RT_NONBLOCKING;

#endif
