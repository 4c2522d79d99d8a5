#include "echo_net.h"

#include "echo_weights.h"
#include "ftz.h"
#include "gru.h"

#include <string.h>

enum {
    ENTRY = RT_ECHO_NET_ENTRY,
    FIRST = RT_ECHO_NET_FIRST,
    SECOND = RT_ECHO_NET_SECOND,
    PADDED = 160, /* features, to whole vectors */
    OUTPUTS = RT_ECHO_BANDS + 1
};

_Static_assert(sizeof rt_echo_entry_weights == ENTRY * PADDED, "weights are of another network");
_Static_assert(sizeof rt_echo_first_weights == 3 * FIRST * (ENTRY + FIRST), "weights are of another network");
_Static_assert(sizeof rt_echo_second_weights == 3 * SECOND * (FIRST + SECOND), "weights are of another network");
_Static_assert(sizeof rt_echo_exit_weights == OUTPUTS * (FIRST + SECOND), "weights are of another network");

size_t rt_echo_net_size(void) { return RT_ALIGN64(sizeof(rt_echo_net)); }

int rt_echo_net_init(rt_echo_net *net)
{
    rt_echo_net_reset(net);
    return RT_OK;
}

void rt_echo_net_reset(rt_echo_net *net) { memset(net, 0, sizeof *net); }

static RT_FORCED void run(rt_echo_net *net, const float *features, float *out)
{
    static const rt_gru first = {(const int8_t *)rt_echo_first_weights, rt_echo_first_scale, rt_echo_first_bias, ENTRY, FIRST};
    static const rt_gru second = {(const int8_t *)rt_echo_second_weights, rt_echo_second_scale, rt_echo_second_bias, FIRST, SECOND};
    int16_t in[PADDED] = {0}, x[ENTRY + FIRST], y[FIRST + SECOND];
    float entry[ENTRY];
    rt_gru_steps(features, in, RT_ECHO_FEATURES);
    for (uint32_t i = 0; i < ENTRY; i++) {
        float sum = (float)rt_gru_dot((const int8_t *)rt_echo_entry_weights + i * PADDED, in, PADDED);
        entry[i] = rt_gru_tanh(sum * rt_echo_entry_scale[i] + rt_echo_entry_bias[i]);
    }
    rt_gru_steps(entry, x, ENTRY);
    rt_gru_steps(net->first, x + ENTRY, FIRST);
    rt_gru_step(first, x, net->first);
    rt_gru_steps(net->first, y, FIRST);
    rt_gru_steps(net->second, y + FIRST, SECOND);
    rt_gru_step(second, y, net->second);
    rt_gru_steps(net->second, y + FIRST, SECOND);
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        float sum = (float)rt_gru_dot((const int8_t *)rt_echo_exit_weights + i * (FIRST + SECOND), y, FIRST + SECOND);
        out[i] = rt_gru_sigmoid(sum * rt_echo_exit_scale[i] + rt_echo_exit_bias[i]);
    }
}

RT_WIDE static void run_wide(rt_echo_net *net, const float *features, float *out) { run(net, features, out); }

static void run_narrow(rt_echo_net *net, const float *features, float *out) { run(net, features, out); }

float rt_echo_net_process(rt_echo_net *net, const float *features, float *gains) RT_NONBLOCKING
{
    float out[OUTPUTS];
    uint64_t mode = rt_ftz_begin();
    if (rt_wide())
        run_wide(net, features, out);
    else
        run_narrow(net, features, out);
    rt_ftz_end(mode);
    memcpy(gains, out, RT_ECHO_BANDS * sizeof *gains);
    return out[RT_ECHO_BANDS];
}

void rt_echo_net_many(rt_echo_net *net, const float *features, uint32_t hops, float *gains, float *probabilities)
{
    for (size_t i = 0; i < hops; i++)
        probabilities[i] = rt_echo_net_process(net, features + i * RT_ECHO_FEATURES, gains + i * RT_ECHO_BANDS);
}

uint32_t rt_echo_net_latency(const rt_echo_net *net)
{
    (void)net;
    return 0;
}
