/* wakeup.h - tells the loop thread that there is something to read. A named exception: it makes one system call, write().
 *
 * The reader arms it (rt_wakeup_arm) when it is about to wait; an audio thread, after its output is filled, writes one byte to the
 * descriptor, once per arming. The descriptor is the non-blocking write end of a pipe or socket that the caller owns, -1 for none; a full
 * or closed pipe is ignored. Each audio thread has a `fired` of its own, so every variable has one writer.
 * The owner must have SIGPIPE ignored before the reading end may close; Python does so, a program in C alone has to.
 */
#ifndef RT_WAKEUP_H
#define RT_WAKEUP_H

#include "rt.h"

#include <stdatomic.h>

typedef struct rt_wakeup {
    int descriptor;
    _Alignas(64) _Atomic uint32_t armed; /* by the reader */
} rt_wakeup;

/* Reader. Look at the rings once more after arming: what came before it is not announced. */
void rt_wakeup_arm(rt_wakeup *wakeup);
/* Audio thread; `fired` belongs to it. */
void rt_wakeup_signal(rt_wakeup *wakeup, uint32_t *fired);

#endif
