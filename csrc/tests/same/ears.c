/* What hears: voice activity, noise reduction, level, echo. */
#include "agc.h"
#include "denoise.h"
#include "ear.h"
#include "echo.h"
#include "echo_delay.h"
#include "echo_features.h"
#include "echo_filter.h"
#include "g711.h"
#include "highpass.h"
#include "same.h"
#include "vad.h"

static float out[RT_HOP];

static const float *hop_of(uint32_t hop)
{
    return voice + hop * RT_HOP;
}

static const float *noisy(uint32_t hop, uint64_t *state)
{
    static float mixed[RT_HOP];
    for (int i = 0; i < RT_HOP; i++)
        mixed[i] = hop_of(hop)[i] + 0.01f * noise(state);
    return mixed;
}

static void vad(void)
{
    rt_vad *v = make(rt_vad_size());
    rt_vad_init(v);
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        keep_one(rt_vad_process(v, hop_of(hop)));
        keep_one(rt_vad_bridged(v));
    }
}

static void vad_in_noise(void)
{
    rt_vad *v = make(rt_vad_size());
    uint64_t state = 6;
    rt_vad_init(v);
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        keep_one(rt_vad_process(v, noisy(hop, &state)));
        keep_one(rt_vad_bridged(v));
    }
}

static void vad_levels(void)
{
    rt_vad *v = make(rt_vad_size());
    rt_vad_init(v);
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        rt_vad_process(v, hop_of(hop));
        keep_one(rt_vad_level_db(v));
        keep_one(rt_vad_floor_db(v));
    }
}

static void ear(void)
{
    rt_ear *e = make(rt_ear_size(RT_ULAW));
    uint8_t codes[80];
    rt_ear_init(e, RT_ULAW);
    for (uint32_t at = 0; at + 80 <= VOICE_HOPS * RT_HOP / 3; at += 80) {
        int16_t narrow[80];
        for (int i = 0; i < 80; i++)
            narrow[i] = voice16[3 * (at + (uint32_t)i)];
        rt_ulaw_encode(narrow, codes, 80);
        uint32_t hops = rt_ear_process(e, codes, 80, out, RT_HOP);
        keep_number(hops);
        keep(out, hops);
    }
}

static void denoise(int preset)
{
    rt_denoise *d = make(rt_denoise_size());
    uint64_t state = 7;
    rt_denoise_init(d, preset, 1.0f);
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        memcpy(out, noisy(hop, &state), RT_HOP * sizeof *out);
        rt_denoise_process(d, out);
        keep(out, RT_HOP);
    }
}

static void denoise_near(void)
{
    denoise(RT_DENOISE_NEAR);
}

static void denoise_far(void)
{
    denoise(RT_DENOISE_FAR);
}

static void highpass(void)
{
    rt_highpass *h = make(rt_highpass_size());
    rt_highpass_init(h, 80.0f);
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        memcpy(out, hop_of(hop), RT_HOP * sizeof *out);
        rt_highpass_process(h, out, RT_HOP);
        keep(out, RT_HOP);
    }
}

static void agc(void)
{
    rt_agc *a = make(rt_agc_size());
    uint64_t state = 8;
    rt_agc_init(a, -14.0f, 30.0f);
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        memcpy(out, noisy(hop, &state), RT_HOP * sizeof *out);
        rt_agc_process(a, out, hop % 100 < 60 ? 0.9f : 0.1f);
        keep(out, RT_HOP);
    }
}

/* The echo: what was said 1.2 s ago, 60 ms late, over two reflections, under the caller. */
static void echo_hop(uint32_t hop, float *reference, float *microphone)
{
    const float *played = voice + (hop + 20) * RT_HOP;
    memcpy(reference, played, RT_HOP * sizeof *reference);
    for (int i = 0; i < RT_HOP; i++) {
        const float *then = played + i - 1440;
        microphone[i] = 0.5f * then[0] - 0.2f * then[-77] + 0.1f * then[-411] + (hop > 800 ? hop_of(hop - 700)[i] : 0.0f);
    }
}

static void echo_delay(void)
{
    rt_echo_delay *d = make(rt_echo_delay_size());
    float reference[RT_HOP], microphone[RT_HOP];
    rt_echo_delay_init(d);
    for (uint32_t hop = 0; hop < VOICE_HOPS - 20; hop++) {
        echo_hop(hop, reference, microphone);
        keep_number(rt_echo_delay_process(d, microphone, reference));
        keep_number(rt_echo_delay_lag(d));
        keep_one(rt_echo_delay_sure(d));
    }
}

static void echo_filter(void)
{
    rt_echo_filter *f = make(rt_echo_filter_size());
    float reference[RT_HOP], microphone[RT_HOP], echo[RT_HOP];
    rt_echo_filter_init(f);
    rt_echo_filter_move(f, 3);
    for (uint32_t hop = 0; hop < VOICE_HOPS - 20; hop++) {
        echo_hop(hop, reference, microphone);
        if (hop == 600)
            rt_echo_filter_move(f, 2);
        rt_echo_filter_process(f, reference, microphone, out, echo);
        keep(out, RT_HOP);
        keep(echo, RT_HOP);
    }
}

static void echo_features(void)
{
    rt_echo_features *f = make(rt_echo_features_size());
    float reference[RT_HOP], microphone[RT_HOP], echo[RT_HOP], numbers[RT_ECHO_FEATURES];
    rt_echo_features_init(f);
    for (uint32_t hop = 0; hop < VOICE_HOPS - 20; hop++) {
        echo_hop(hop, reference, microphone);
        memcpy(reference, voice + (hop + 14) * RT_HOP, sizeof reference); /* as old as its echo */
        for (int i = 0; i < RT_HOP; i++) {
            echo[i] = 0.45f * reference[i];
            out[i] = microphone[i] - echo[i];
        }
        rt_echo_features_process(f, out, echo, reference, numbers);
        keep(numbers, RT_ECHO_FEATURES);
    }
}

static void echo_whole(int judge)
{
    rt_echo_config config = {RT_ECHO_CANCEL, judge, 1};
    rt_echo *e = make(rt_echo_size());
    float reference[RT_HOP], microphone[RT_HOP];
    rt_echo_init(e, &config);
    for (uint32_t hop = 0; hop < VOICE_HOPS - 20; hop++) {
        rt_echo_result result;
        echo_hop(hop, reference, microphone);
        rt_echo_process(e, reference, microphone, out, &result);
        keep(out, RT_HOP);
        keep_one(result.near);
        keep_number(result.open);
        keep_number(result.converged);
        keep_number(result.playing);
    }
}

static void echo_by_net(void)
{
    echo_whole(RT_ECHO_BY_NET);
}

static void echo_by_rule(void)
{
    echo_whole(RT_ECHO_BY_RULE);
}

const same_row same_ears[] = {
    {"vad", 3e-3, vad},
    {"vad in noise", 3e-3, vad_in_noise},
    {"vad levels (dB)", 1e-3, vad_levels},
    {"ear", 3e-3, ear},
    {"denoise, near", 1e-5, denoise_near},
    {"denoise, far", 1e-5, denoise_far},
    {"highpass", 1e-4, highpass}, /* its poles lie close to 1, where the last bit of a float counts most */
    {"agc", 1e-5, agc},
    {"echo delay", 1e-4, echo_delay},
    {"echo filter", 1e-5, echo_filter},
    {"echo features", 1e-3, echo_features},
    {"echo, by network", 1e-3, echo_by_net},
    {"echo, by rule", 1e-3, echo_by_rule},
    {NULL, 0, NULL},
};
