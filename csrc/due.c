#include "due.h"

#include <math.h>
#include <string.h>

#define WINDOW_NS 1000000000ull

void rt_due_init(rt_due *due, uint32_t rate_hz)
{
    memset(due, 0, sizeof *due);
    due->rate = rate_hz;
}

static void close_window(rt_due *due, uint64_t now_ns)
{
    if (due->settled && due->least >= 0.5 * due->block)
        due->missing += (uint64_t)(due->least + 0.5);
    due->settled = 1; /* the first second fills buffers */
    due->frames += due->least;
    due->least = 1e300;
    due->window_ns = now_ns;
}

void rt_due_process(rt_due *due, uint64_t now_ns, uint32_t frames) RT_NONBLOCKING
{
    if (due->start_ns == 0) {
        due->start_ns = due->window_ns = due->last_ns = now_ns;
        due->least = 1e300;
        due->block = frames;
    }
    uint64_t pause = now_ns > due->last_ns ? now_ns - due->last_ns : 0;
    due->longest_ns = pause > due->longest_ns ? pause : due->longest_ns;
    due->last_ns = now_ns;
    due->block += 0.05 * (frames - due->block);
    /* a callback brings what was captured before it: at its end nothing of the first block is owed */
    due->frames += due->frames == 0.0 && due->start_ns == now_ns ? 0.0 : frames;
    double deficit = (double)(now_ns - due->start_ns) * 1e-9 * due->rate - due->frames;
    due->least = deficit < due->least ? deficit : due->least;
    if (now_ns - due->window_ns >= WINDOW_NS)
        close_window(due, now_ns);
}
