/* due.h - callbacks that never came, counted from the clock.
 *
 * A sound system that loses a block seldom says so, and cannot flag a callback that it did not make. Once per callback goes in: the
 * monotonic time and the frames. What the clock says should have come is compared with what came; blocks may come in bursts, so only the least
 * deficit of a second counts: what was still missing at its best moment never came. The first second fills buffers and is not counted. Half a block or more is counted as missing; less is drift
 * and is let go.
 *
 * One struct, init; one thread; constant work, no outside calls.
 */
#ifndef RT_DUE_H
#define RT_DUE_H

#include "rt.h"

typedef struct rt_due {
    double rate;
    uint64_t start_ns, window_ns;
    double frames;       /* came, plus what was already counted or let go */
    double least;        /* deficit of this window */
    double block;        /* mean frames of a callback */
    uint64_t missing;    /* frames */
    uint64_t longest_ns; /* between two callbacks */
    uint64_t last_ns;
    int settled;
} rt_due;

void rt_due_init(rt_due *due, uint32_t rate_hz);
void rt_due_process(rt_due *due, uint64_t now_ns, uint32_t frames) RT_NONBLOCKING;

#endif
