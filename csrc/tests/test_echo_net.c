/* The network as such: state carries on, is bounded whatever comes, and outputs are what they are said to be. */
#include "check.h"
#include "echo_net.h"

static unsigned long long seed = 9;

static void any_features(float *features, double size)
{
    for (int i = 0; i < RT_ECHO_FEATURES; i++)
        features[i] = (float)(size * ((double)check_random(&seed) / 2147483648.0 - 1.0));
}

static void outputs_are_shares_whatever_comes(void)
{
    rt_echo_net *net = check_memory(rt_echo_net_size());
    float features[RT_ECHO_FEATURES], gains[RT_ECHO_BANDS];
    CHECK_EQUAL(rt_echo_net_init(net), RT_OK);
    for (int i = 0; i < 1000; i++) {
        any_features(features, i % 3 == 0 ? 1000.0 : 2.0);
        if (i % 10 == 0)
            features[i % RT_ECHO_FEATURES] = i % 20 == 0 ? NAN : INFINITY;
        float near_end = rt_echo_net_process(net, features, gains);
        CHECK(near_end >= 0.0f && near_end <= 1.0f);
        for (int k = 0; k < RT_ECHO_BANDS; k++)
            CHECK(gains[k] >= 0.0f && gains[k] <= 1.0f);
        for (int k = 0; k < RT_ECHO_NET_FIRST; k++)
            CHECK(fabsf(net->first[k]) <= 1.0f);
        for (int k = 0; k < RT_ECHO_NET_SECOND; k++)
            CHECK(fabsf(net->second[k]) <= 1.0f);
    }
    free(net);
}

static void state_carries_on_until_it_is_forgotten(void)
{
    rt_echo_net *net = check_memory(rt_echo_net_size()), *copy = check_memory(rt_echo_net_size());
    float features[100 * RT_ECHO_FEATURES], first[RT_ECHO_BANDS], a[100 * RT_ECHO_BANDS], b[RT_ECHO_BANDS], probabilities[100];
    rt_echo_net_init(net);
    any_features(features, 2.0);
    float begun = rt_echo_net_process(net, features, first);
    for (int i = 0; i < 100; i++)
        any_features(features + i * RT_ECHO_FEATURES, 2.0);
    memcpy(copy, net, rt_echo_net_size());
    rt_echo_net_many(net, features, 100, a, probabilities);
    for (int i = 0; i < 100; i++) {
        CHECK(rt_echo_net_process(copy, features + i * RT_ECHO_FEATURES, b) == probabilities[i]);
        CHECK(memcmp(a + i * RT_ECHO_BANDS, b, sizeof b) == 0);
    }
    rt_echo_net_reset(net);
    rt_echo_net_init(copy);
    CHECK(memcmp(net, copy, rt_echo_net_size()) == 0);
    rt_echo_net_process(net, features, b);
    CHECK(memcmp(b, first, sizeof b) != 0 && begun > 0.0f);
    CHECK_EQUAL(rt_echo_net_latency(net), 0);
    free(net);
    free(copy);
}

int main(void)
{
    outputs_are_shares_whatever_comes();
    state_carries_on_until_it_is_forgotten();
    return CHECK_DONE();
}
