/* The ledger of playout.h, kept by the playback thread: what became of every sample. */
#include "playout_parts.h"

void rt_playout_count_played(rt_playout *p, int32_t row, uint32_t frames)
{
    if (row < 0)
        return;
    add64(&p->rows[row].played, frames);
    add64(&p->played, frames);
}

void rt_playout_count_faded(rt_playout *p, int32_t row, uint32_t frames)
{
    if (row < 0)
        return;
    add64(&p->rows[row].faded, frames);
    add64(&p->faded, frames);
}

void rt_playout_count_discarded(rt_playout *p, int32_t row, uint32_t frames)
{
    if (row < 0)
        return;
    add64(&p->rows[row].discarded, frames);
    add64(&p->discarded, frames);
}

void rt_playout_count_emitted(rt_playout *p, uint32_t frames, uint64_t waited, uint64_t target)
{
    uint32_t times = RT_RATE / p->rate_hz;
    add64(&p->delay, frames * times * waited);
    add64(&p->target_delay, frames * times * target);
    add64(&p->emitted, (uint64_t)frames * times);
}

void rt_playout_drain_lag(rt_playout *p, rt_lag *lag, uint32_t keep, rt_playout_count *count)
{
    rt_lag_run run;
    while (rt_lag_pop(lag, keep, &run))
        count(p, run.row, run.frames);
}
