#include "vad_net.h"

#include "vad_weights.h"
#include "wide.h"

#include <string.h>

#define STEPS 4096.0f /* of what a weight is multiplied with, to 1 */
#define MOST 7.9997f

enum { PADDED = 40 }; /* features, to whole vectors */

_Static_assert(sizeof rt_vad_entry_weights == RT_VAD_ENTRY * PADDED, "weights are of another network");
_Static_assert(sizeof rt_vad_first_weights == 3 * RT_VAD_FIRST * (RT_VAD_ENTRY + RT_VAD_FIRST), "weights are of another network");
_Static_assert(sizeof rt_vad_second_weights == 3 * RT_VAD_SECOND * (RT_VAD_FIRST + RT_VAD_SECOND), "weights are of another network");
_Static_assert(sizeof rt_vad_exit_weights == 2 * (RT_VAD_FIRST + RT_VAD_SECOND), "weights are of another network");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights lie four to a word, the lowest first");

size_t rt_vad_net_size(void) { return RT_ALIGN64(sizeof(rt_vad_net)); }

int rt_vad_net_init(rt_vad_net *net)
{
    rt_vad_net_reset(net);
    return RT_OK;
}

void rt_vad_net_reset(rt_vad_net *net) { memset(net, 0, sizeof *net); }

static RT_FORCED float cut(float x, float most) { return x > most ? most : x < -most ? -most : x; }

static RT_FORCED void to_steps(const float *in, int16_t *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        float x = cut(in[i], MOST) * STEPS;
        out[i] = (int16_t)(int32_t)(x + (x < 0.0f ? -0.5f : 0.5f));
    }
}

static RT_FORCED int32_t dot(const int8_t *weights, const int16_t *x, uint32_t count)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        int16_t weight = weights[i];
        sum += (int32_t)weight * (int32_t)x[i];
    }
    return sum;
}

/* tanh by its continued fraction, to 1e-4. */
static RT_FORCED float hyperbolic(float x)
{
    x = cut(x, 4.97f);
    float s = x * x;
    return x * (135135.0f + s * (17325.0f + s * (378.0f + s))) / (135135.0f + s * (62370.0f + s * (3150.0f + s * 28.0f)));
}

static RT_FORCED float sigmoid(float x) { return 0.5f + 0.5f * hyperbolic(0.5f * x); }

typedef struct gru {
    const int8_t *weights;   /* 3 size rows (reset, update, new) of inputs, then size numbers */
    const float *scale;      /* 3 size */
    const float *bias;       /* 4 size: reset, update, new from the input, new from the state */
    uint32_t inputs, size;
} gru;

/* `x`: the inputs and then the state, in steps. */
static RT_FORCED void step(gru g, const int16_t *x, float *state)
{
    float reset[RT_VAD_FIRST], update[RT_VAD_FIRST], fresh[RT_VAD_FIRST], again[RT_VAD_FIRST];
    uint32_t n = g.size, row = g.inputs + n;
    for (uint32_t i = 0; i < n; i++)
        reset[i] = (float)dot(g.weights + i * row, x, row);
    for (uint32_t i = 0; i < n; i++)
        update[i] = (float)dot(g.weights + (n + i) * row, x, row);
    for (uint32_t i = 0; i < n; i++)
        fresh[i] = (float)dot(g.weights + (2 * n + i) * row, x, g.inputs);
    for (uint32_t i = 0; i < n; i++)
        again[i] = (float)dot(g.weights + (2 * n + i) * row + g.inputs, x + g.inputs, n);
    for (uint32_t i = 0; i < n; i++) {
        float r = sigmoid(reset[i] * g.scale[i] + g.bias[i]), z = sigmoid(update[i] * g.scale[n + i] + g.bias[n + i]);
        float h = hyperbolic(fresh[i] * g.scale[2 * n + i] + g.bias[2 * n + i] + r * (again[i] * g.scale[2 * n + i] + g.bias[3 * n + i]));
        state[i] = h + z * (state[i] - h);
    }
}

static RT_FORCED void run(rt_vad_net *net, const float *features, float *logits)
{
    static const gru first = {(const int8_t *)rt_vad_first_weights, rt_vad_first_scale, rt_vad_first_bias, RT_VAD_ENTRY, RT_VAD_FIRST};
    static const gru second = {(const int8_t *)rt_vad_second_weights, rt_vad_second_scale, rt_vad_second_bias, RT_VAD_FIRST, RT_VAD_SECOND};
    int16_t in[PADDED] = {0}, x[RT_VAD_ENTRY + RT_VAD_FIRST], y[RT_VAD_FIRST + RT_VAD_SECOND];
    float entry[RT_VAD_ENTRY];
    to_steps(features, in, RT_VAD_FEATURES);
    for (uint32_t i = 0; i < RT_VAD_ENTRY; i++) {
        float sum = (float)dot((const int8_t *)rt_vad_entry_weights + i * PADDED, in, PADDED) * rt_vad_entry_scale[i] + rt_vad_entry_bias[i];
        entry[i] = sum > 0.0f ? sum : 0.0f;
    }
    to_steps(entry, x, RT_VAD_ENTRY);
    to_steps(net->first, x + RT_VAD_ENTRY, RT_VAD_FIRST);
    step(first, x, net->first);
    to_steps(net->first, y, RT_VAD_FIRST);
    to_steps(net->second, y + RT_VAD_FIRST, RT_VAD_SECOND);
    step(second, y, net->second);
    to_steps(net->second, y + RT_VAD_FIRST, RT_VAD_SECOND);
    for (uint32_t i = 0; i < 2; i++) {
        int32_t sum = dot((const int8_t *)rt_vad_exit_weights + i * (RT_VAD_FIRST + RT_VAD_SECOND), y, RT_VAD_FIRST + RT_VAD_SECOND);
        logits[i] = (float)sum * rt_vad_exit_scale[i] + rt_vad_exit_bias[i];
    }
}

RT_WIDE static void run_wide(rt_vad_net *net, const float *features, float *logits) { run(net, features, logits); }

static void run_narrow(rt_vad_net *net, const float *features, float *logits) { run(net, features, logits); }

void rt_vad_net_process(rt_vad_net *net, const float *features, float *logits) RT_NONBLOCKING
{
    if (rt_wide())
        run_wide(net, features, logits);
    else
        run_narrow(net, features, logits);
}

uint32_t rt_vad_net_latency(const rt_vad_net *net)
{
    (void)net;
    return 2 * RT_HOP;
}
