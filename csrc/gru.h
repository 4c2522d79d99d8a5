/* gru.h - what small recurrent networks share: layers with 8-bit weights and exact sums.
 *
 * Weights are integers of -127 to 127 with one scale a row. What they are multiplied with is rounded to 1/4096 and cut at +-8
 * (rt_gru_steps), so a sum is an exact integer and comes out alike however it is vectorised. Sigmoid and tanh are rational functions,
 * right to 1e-4. Everything here is forced inline: each network compiles it twice (wide.h).
 */
#ifndef RT_GRU_H
#define RT_GRU_H

#include "wide.h"

#include <stdint.h>

#define RT_GRU_STEPS 4096.0f /* of what a weight is multiplied with, to 1 */
#define RT_GRU_CUT 7.9997f

enum { RT_GRU_MOST = 64 }; /* cells of one layer */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights lie four to a word, the lowest first");

static RT_FORCED float rt_gru_cut(float x, float most) { return x > most ? most : x > -most ? x : -most; } /* so is NaN */

static RT_FORCED void rt_gru_steps(const float *in, int16_t *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        float x = rt_gru_cut(in[i], RT_GRU_CUT) * RT_GRU_STEPS;
        out[i] = (int16_t)(int32_t)(x + (x < 0.0f ? -0.5f : 0.5f));
    }
}

static RT_FORCED int32_t rt_gru_dot(const int8_t *weights, const int16_t *x, uint32_t count)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        int16_t weight = weights[i];
        sum += (int32_t)weight * (int32_t)x[i];
    }
    return sum;
}

/* By its continued fraction. */
static RT_FORCED float rt_gru_tanh(float x)
{
    x = rt_gru_cut(x, 4.97f);
    float s = x * x;
    return x * (135135.0f + s * (17325.0f + s * (378.0f + s))) / (135135.0f + s * (62370.0f + s * (3150.0f + s * 28.0f)));
}

static RT_FORCED float rt_gru_sigmoid(float x) { return 0.5f + 0.5f * rt_gru_tanh(0.5f * x); }

typedef struct rt_gru {
    const int8_t *weights; /* 3 size rows (reset, update, new) of inputs, then size numbers */
    const float *scale;    /* 3 size */
    const float *bias;     /* 4 size: reset, update, new from the input, new from the state */
    uint32_t inputs, size; /* size: up to RT_GRU_MOST */
} rt_gru;

/* `x`: the inputs and then the state, in steps. */
static RT_FORCED void rt_gru_step(rt_gru g, const int16_t *x, float *state)
{
    float reset[RT_GRU_MOST], update[RT_GRU_MOST], fresh[RT_GRU_MOST], again[RT_GRU_MOST];
    uint32_t n = g.size, row = g.inputs + n;
    for (uint32_t i = 0; i < n; i++)
        reset[i] = (float)rt_gru_dot(g.weights + i * row, x, row);
    for (uint32_t i = 0; i < n; i++)
        update[i] = (float)rt_gru_dot(g.weights + (n + i) * row, x, row);
    for (uint32_t i = 0; i < n; i++)
        fresh[i] = (float)rt_gru_dot(g.weights + (2 * n + i) * row, x, g.inputs);
    for (uint32_t i = 0; i < n; i++)
        again[i] = (float)rt_gru_dot(g.weights + (2 * n + i) * row + g.inputs, x + g.inputs, n);
    for (uint32_t i = 0; i < n; i++) {
        float r = rt_gru_sigmoid(reset[i] * g.scale[i] + g.bias[i]), z = rt_gru_sigmoid(update[i] * g.scale[n + i] + g.bias[n + i]);
        float h = rt_gru_tanh(fresh[i] * g.scale[2 * n + i] + g.bias[2 * n + i] + r * (again[i] * g.scale[2 * n + i] + g.bias[3 * n + i]));
        state[i] = h + z * (state[i] - h);
    }
}

#endif
