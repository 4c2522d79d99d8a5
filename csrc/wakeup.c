#include "wakeup.h"

#include <unistd.h>

void rt_wakeup_arm(rt_wakeup *wakeup)
{
    uint32_t armed = atomic_load_explicit(&wakeup->armed, memory_order_relaxed);
    atomic_store_explicit(&wakeup->armed, armed + 1, memory_order_release);
}

void rt_wakeup_signal(rt_wakeup *wakeup, uint32_t *fired)
{
    uint32_t armed = atomic_load_explicit(&wakeup->armed, memory_order_acquire);
    if (armed == *fired || wakeup->descriptor < 0)
        return;
    *fired = armed;
    char byte = 0;
    ssize_t written = write(wakeup->descriptor, &byte, 1);
    (void)written; /* a full pipe wakes the reader just as well */
}
