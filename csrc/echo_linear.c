#include "echo_linear.h"

#include <string.h>

size_t rt_echo_linear_size(void) { return RT_ALIGN64(sizeof(rt_echo_linear)); }

int rt_echo_linear_init(rt_echo_linear *l)
{
    rt_echo_delay_init(&l->delay);
    return rt_echo_filter_init(&l->filter);
}

void rt_echo_linear_reset(rt_echo_linear *l)
{
    rt_echo_delay_reset(&l->delay);
    rt_echo_filter_reset(&l->filter);
}

void rt_echo_linear_process(rt_echo_linear *l, const float *reference, const float *microphone, float *left, float *echo, float *aligned) RT_NONBLOCKING
{
    if (rt_echo_delay_process(&l->delay, microphone, reference))
        rt_echo_filter_move(&l->filter, rt_echo_delay_lag(&l->delay) - RT_ECHO_LEAD);
    rt_echo_filter_process(&l->filter, reference, microphone, left, echo);
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

uint32_t rt_echo_linear_latency(const rt_echo_linear *l)
{
    (void)l;
    return 0;
}
