#include "tap.h"

#include <string.h>

enum { SECOND = RT_RATE / RT_HOP, SLACK = 2 * RT_HOP, MOST_SHIFT = RT_RATE / 2 };

size_t rt_tap_size(void) { return RT_ALIGN64(sizeof(rt_tap)); }

int rt_tap_init(rt_tap *tap, uint32_t lead)
{
    if (lead > RT_TAP_SAMPLES / 2)
        return RT_BAD_ARGUMENT;
    tap->lead = lead;
    rt_tap_reset(tap);
    return RT_OK;
}

static void look_anew(rt_tap *tap)
{
    tap->least = tap->least_before = INT64_MAX;
    tap->reads = 0;
}

void rt_tap_reset(rt_tap *tap)
{
    tap->taken = -(int64_t)tap->lead;
    tap->written = tap->starved = tap->jumps = 0;
    tap->shift = 0;
    memset(tap->past, 0, sizeof tap->past);
    look_anew(tap);
}

void rt_tap_write(rt_tap *tap, const float *hop) RT_NONBLOCKING
{
    for (uint32_t i = 0; i < RT_HOP; i++)
        tap->past[(tap->written + i) % RT_TAP_SAMPLES] = hop[i];
    tap->written += RT_HOP;
}

static int64_t waiting(const rt_tap *tap) { return (int64_t)tap->written - tap->taken; }

/* More than blocks of any size leave here: the loudspeaker ran alone. */
static void leave_out(rt_tap *tap)
{
    int64_t surplus = waiting(tap) - ((int64_t)tap->lead + RT_HOP + tap->shift);
    if (surplus <= SLACK)
        return;
    tap->taken += surplus;
    tap->jumps++;
    look_anew(tap);
}

static void watch(rt_tap *tap)
{
    int64_t now = waiting(tap);
    tap->least = now < tap->least ? now : tap->least;
    if (++tap->reads < SECOND)
        return;
    tap->least_before = tap->least;
    tap->least = INT64_MAX;
    tap->reads = 0;
}

void rt_tap_read(rt_tap *tap, float *hop) RT_NONBLOCKING
{
    leave_out(tap);
    if (waiting(tap) < RT_HOP) {
        memset(hop, 0, RT_HOP * sizeof *hop);
        tap->starved++;
        look_anew(tap);
        return;
    }
    watch(tap);
    int64_t oldest = (int64_t)tap->written - RT_TAP_SAMPLES;
    oldest = oldest > 0 ? oldest : 0;
    for (uint32_t i = 0; i < RT_HOP; i++, tap->taken++)
        hop[i] = tap->taken < oldest ? 0.0f : tap->past[tap->taken % RT_TAP_SAMPLES];
}

void rt_tap_move(rt_tap *tap, int64_t samples) RT_NONBLOCKING
{
    int64_t least = tap->least < tap->least_before ? tap->least : tap->least_before;
    int64_t room = least < INT64_MAX && least > RT_HOP ? least - RT_HOP : 0;
    int64_t move = samples < -room ? -room : samples;
    if (tap->shift + move > MOST_SHIFT)
        move = MOST_SHIFT - tap->shift;
    tap->taken -= move;
    tap->shift += move;
    look_anew(tap);
}

uint32_t rt_tap_latency(const rt_tap *tap) { return tap->lead; }
