#include "vad_net.h"

#include "gru.h"
#include "vad_weights.h"

#include <string.h>

enum { PADDED = 40 }; /* features, to whole vectors */

_Static_assert(sizeof rt_vad_entry_weights == RT_VAD_ENTRY * PADDED, "weights are of another network");
_Static_assert(sizeof rt_vad_first_weights == 3 * RT_VAD_FIRST * (RT_VAD_ENTRY + RT_VAD_FIRST), "weights are of another network");
_Static_assert(sizeof rt_vad_second_weights == 3 * RT_VAD_SECOND * (RT_VAD_FIRST + RT_VAD_SECOND), "weights are of another network");
_Static_assert(sizeof rt_vad_exit_weights == 2 * (RT_VAD_FIRST + RT_VAD_SECOND), "weights are of another network");

size_t rt_vad_net_size(void) { return RT_ALIGN64(sizeof(rt_vad_net)); }

int rt_vad_net_init(rt_vad_net *net)
{
    rt_vad_net_reset(net);
    return RT_OK;
}

void rt_vad_net_reset(rt_vad_net *net) { memset(net, 0, sizeof *net); }

static RT_FORCED void run(rt_vad_net *net, const float *features, float *logits)
{
    static const rt_gru first = {(const int8_t *)rt_vad_first_weights, rt_vad_first_scale, rt_vad_first_bias, RT_VAD_ENTRY, RT_VAD_FIRST};
    static const rt_gru second = {(const int8_t *)rt_vad_second_weights, rt_vad_second_scale, rt_vad_second_bias, RT_VAD_FIRST, RT_VAD_SECOND};
    int16_t in[PADDED] = {0}, x[RT_VAD_ENTRY + RT_VAD_FIRST], y[RT_VAD_FIRST + RT_VAD_SECOND];
    float entry[RT_VAD_ENTRY];
    rt_gru_steps(features, in, RT_VAD_FEATURES);
    for (uint32_t i = 0; i < RT_VAD_ENTRY; i++) {
        float sum = (float)rt_gru_dot((const int8_t *)rt_vad_entry_weights + i * PADDED, in, PADDED) * rt_vad_entry_scale[i] + rt_vad_entry_bias[i];
        entry[i] = sum > 0.0f ? sum : 0.0f;
    }
    rt_gru_steps(entry, x, RT_VAD_ENTRY);
    rt_gru_steps(net->first, x + RT_VAD_ENTRY, RT_VAD_FIRST);
    rt_gru_step(first, x, net->first);
    rt_gru_steps(net->first, y, RT_VAD_FIRST);
    rt_gru_steps(net->second, y + RT_VAD_FIRST, RT_VAD_SECOND);
    rt_gru_step(second, y, net->second);
    rt_gru_steps(net->second, y + RT_VAD_FIRST, RT_VAD_SECOND);
    for (uint32_t i = 0; i < 2; i++) {
        int32_t sum = rt_gru_dot((const int8_t *)rt_vad_exit_weights + i * (RT_VAD_FIRST + RT_VAD_SECOND), y, RT_VAD_FIRST + RT_VAD_SECOND);
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
