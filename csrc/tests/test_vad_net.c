/* The network as such: state carries on, is bounded whatever comes, and is the same however the processor adds it up. */
#include "check.h"
#include "vad_net.h"

static unsigned long long seed = 9;

static void any_features(float *features, double size)
{
    for (int i = 0; i < RT_VAD_FEATURES; i++)
        features[i] = (float)(size * ((double)check_random(&seed) / 2147483648.0 - 1.0));
}

static void state_is_bounded_and_carries_on(void)
{
    rt_vad_net *net = check_memory(rt_vad_net_size()), *copy = check_memory(rt_vad_net_size());
    float features[RT_VAD_FEATURES], a[2], b[2], first[2];
    CHECK_EQUAL(rt_vad_net_init(net), RT_OK);
    any_features(features, 1.0);
    rt_vad_net_process(net, features, first);
    for (int i = 0; i < 1000; i++) {
        any_features(features, i % 3 == 0 ? 1000.0 : 2.0);
        rt_vad_net_process(net, features, a);
        for (int k = 0; k < RT_VAD_FIRST; k++)
            CHECK(fabsf(net->first[k]) <= 1.0f);
        for (int k = 0; k < RT_VAD_SECOND; k++)
            CHECK(fabsf(net->second[k]) <= 1.0f);
        CHECK(fabsf(a[0]) < 100.0f && fabsf(a[1]) < 100.0f);
    }
    memcpy(copy, net, rt_vad_net_size());
    for (int i = 0; i < 100; i++) {
        any_features(features, 2.0);
        rt_vad_net_process(net, features, a);
        rt_vad_net_process(copy, features, b);
        CHECK(memcmp(a, b, sizeof a) == 0);
    }
    seed = 9;
    any_features(features, 1.0);
    rt_vad_net_process(net, features, a);
    CHECK(a[0] != first[0]); /* what was before counts, */
    rt_vad_net_reset(net);
    rt_vad_net_process(net, features, a);
    CHECK(memcmp(a, first, sizeof a) == 0); /* until it is forgotten */
    CHECK_EQUAL(rt_vad_net_latency(net), 2 * RT_HOP);
    free(net);
    free(copy);
}

int main(void)
{
    state_is_bounded_and_carries_on();
    return CHECK_DONE();
}
