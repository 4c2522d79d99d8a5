#include "lag.h"

#include <string.h>

int rt_lag_init(rt_lag *lag, uint32_t delay)
{
    if (delay > RT_LAG_MOST)
        return RT_BAD_ARGUMENT;
    memset(lag, 0, sizeof *lag);
    lag->delay = delay;
    return RT_OK;
}

static void add(rt_lag *lag, rt_lag_run run)
{
    rt_lag_run *newest = &lag->runs[(lag->first + lag->count + RT_LAG_RUNS - 1) % RT_LAG_RUNS];
    int same = lag->count > 0 && newest->row == run.row && newest->skipped == run.skipped;
    if (run.frames == 0)
        return;
    if (same || lag->count == RT_LAG_RUNS) /* full only against the contract: the ledger's sum stays right */
        newest->frames += run.frames;
    else
        lag->runs[(lag->first + lag->count++) % RT_LAG_RUNS] = run;
    lag->total += run.skipped ? 0 : run.frames;
}

void rt_lag_push(rt_lag *lag, int32_t row, uint32_t frames) RT_NONBLOCKING { add(lag, (rt_lag_run){row, frames, 0}); }

void rt_lag_skip(rt_lag *lag, int32_t row, uint32_t frames) RT_NONBLOCKING { add(lag, (rt_lag_run){row, frames, 1}); }

int rt_lag_pop(rt_lag *lag, uint32_t keep, rt_lag_run *run) RT_NONBLOCKING
{
    rt_lag_run *oldest = &lag->runs[lag->first];
    if (lag->count == 0 || (!oldest->skipped && lag->total <= keep))
        return 0;
    *run = *oldest;
    if (!run->skipped) {
        uint32_t beyond = lag->total - keep;
        run->frames = oldest->frames < beyond ? oldest->frames : beyond;
        lag->total -= run->frames;
    }
    oldest->frames -= run->frames;
    if (oldest->frames == 0) {
        lag->first = (lag->first + 1) % RT_LAG_RUNS;
        lag->count--;
    }
    return 1;
}
