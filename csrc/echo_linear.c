#include "echo_linear.h"

#include "ftz.h"

#include <string.h>

#define KEEPS 0.85f      /* per hop */
#define LEAST 1e-7f      /* power of an estimate that says anything, of a sum of 240 squares */
#define RIGHT_FROM 0.6f
#define RIGHT_TO 1.6f
#define TOO_LOUD 0.6f    /* an estimate of which less than this is in the microphone */

enum { MOST_AWAY = 2 * RT_HOP }; /* from where the filter would have been put */

size_t rt_echo_linear_size(void) { return RT_ALIGN64(sizeof(rt_echo_linear)); }

int rt_echo_linear_init(rt_echo_linear *l)
{
    l->moved = 0;
    l->both = l->echo = 0.0f;
    rt_echo_delay_init(&l->delay);
    return rt_echo_filter_init(&l->filter);
}

void rt_echo_linear_reset(rt_echo_linear *l)
{
    rt_echo_delay_reset(&l->delay);
    rt_echo_filter_reset(&l->filter);
    l->moved = 0;
    l->both = l->echo = 0.0f;
}

/* Whether what is estimated is in the microphone, others there or not. */
static int right(const rt_echo_linear *l)
{
    return l->echo > LEAST && l->both > RIGHT_FROM * l->echo && l->both < RIGHT_TO * l->echo;
}

/* Hops by which the reference is older that the filter looks at, when the echo is so old: what is not played yet cannot be looked at. */
static int place_for(int lag) { return lag > RT_ECHO_LEAD ? lag - RT_ECHO_LEAD : 0; }

/* Drift, a jump of the whole room's answer, or something else altogether. */
static void place(rt_echo_linear *l, int before)
{
    int lag = rt_echo_delay_lag(&l->delay), wanted = lag - RT_ECHO_LEAD, by = lag - before;
    int jumped = (int)rt_echo_filter_lag(&l->filter) + rt_echo_delay_jump(&l->delay), away = jumped - wanted * RT_HOP;
    l->moved = before < 0 || by > RT_ECHO_LEAD || by < -RT_ECHO_LEAD || !right(l);
    if (!l->moved)
        rt_echo_filter_shift(&l->filter, place_for(lag) - place_for(before));
    else if (before >= 0 && wanted >= 0 && jumped >= 0 && away <= MOST_AWAY && away >= -MOST_AWAY)
        rt_echo_filter_jump(&l->filter, rt_echo_delay_jump(&l->delay));
    else
        rt_echo_filter_move(&l->filter, wanted);
}

static void compare(rt_echo_linear *l, const float *left, const float *echo)
{
    float both = 0.0f, own = 0.0f;
    for (uint32_t i = 0; i < RT_HOP; i++) {
        both += left[i] * echo[i];
        own += echo[i] * echo[i];
    }
    uint64_t mode = rt_ftz_begin();
    l->both = KEEPS * l->both + both + own;
    l->echo = KEEPS * l->echo + own;
    rt_ftz_end(mode);
}

void rt_echo_linear_process(rt_echo_linear *l, const float *reference, const float *microphone, float *left, float *echo, float *aligned) RT_NONBLOCKING
{
    int before = rt_echo_delay_lag(&l->delay);
    l->moved = 0;
    if (rt_echo_delay_process(&l->delay, microphone, reference))
        place(l, before);
    rt_echo_filter_process(&l->filter, reference, microphone, left, echo);
    compare(l, left, echo);
    int lag = rt_echo_delay_lag(&l->delay);
    uint32_t ago = (lag < 1 ? 0 : (uint32_t)lag - 1) * RT_HOP;
    memcpy(aligned, l->filter.past + RT_ECHO_PAST - RT_HOP - ago, RT_HOP * sizeof *aligned);
}

void rt_echo_linear_many(rt_echo_linear *l, const float *reference, const float *microphone, uint32_t hops, float *left, float *echo, float *aligned)
{
    for (size_t i = 0; i < (size_t)hops * RT_HOP; i += RT_HOP)
        rt_echo_linear_process(l, reference + i, microphone + i, left + i, echo + i, aligned + i);
}

int rt_echo_linear_lag(const rt_echo_linear *l) RT_NONBLOCKING { return rt_echo_delay_lag(&l->delay); }

float rt_echo_linear_fit(const rt_echo_linear *l) RT_NONBLOCKING
{
    if (l->echo <= LEAST || l->both > TOO_LOUD * l->echo)
        return 1.0f;
    return l->both > 0.0f ? l->both / l->echo : 0.0f;
}

uint32_t rt_echo_linear_latency(const rt_echo_linear *l)
{
    (void)l;
    return 0;
}
