#include "edge.h"

#include <math.h>
#include <string.h>

static const float PI_F = 3.14159265358979f;

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* A raised cosine from 1 to 0, at the middle of its sample `k` of RT_EDGE. */
static float falling(float k) { return 0.5f + 0.5f * cosf(PI_F * (k + 0.5f) / RT_EDGE); }

void rt_edge_reset(rt_edge *edge) RT_NONBLOCKING { edge->rise_left = edge->tail_left = edge->recent_count = 0; }

void rt_edge_rise(rt_edge *edge) RT_NONBLOCKING
{
    rt_edge_reset(edge);
    edge->rise_left = RT_EDGE;
}

static void remember(rt_edge *edge, const float *samples, uint32_t count)
{
    uint32_t n = least(RT_EDGE, count);
    memmove(edge->recent, edge->recent + n, (RT_EDGE - n) * sizeof *edge->recent);
    memcpy(edge->recent + RT_EDGE - n, samples + count - n, n * sizeof *samples);
    edge->recent_count = least(RT_EDGE, edge->recent_count + n);
}

void rt_edge_process(rt_edge *edge, float *samples, uint32_t count) RT_NONBLOCKING
{
    for (uint32_t i = 0; i < count && edge->rise_left > 0; i++, edge->rise_left--)
        samples[i] *= falling((float)edge->rise_left - 1.0f);
    remember(edge, samples, count); /* as it left, so that a tail joins on */
}

void rt_edge_break(rt_edge *edge) RT_NONBLOCKING
{
    edge->tail_left = RT_EDGE;
    edge->rise_left = 0;
}

uint32_t rt_edge_tail(rt_edge *edge, float *out, uint32_t count) RT_NONBLOCKING
{
    uint32_t n = least(count, edge->tail_left);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = RT_EDGE - edge->tail_left;
        out[i] = i < n && k < edge->recent_count ? falling((float)k) * edge->recent[RT_EDGE - 1 - k] : 0.0f;
        edge->tail_left -= i < n;
    }
    return n;
}

int rt_edge_has_tail(const rt_edge *edge) RT_NONBLOCKING { return edge->tail_left > 0; }
