/* What carries sound, and what decides: one block in each row. */
#include "conceal.h"
#include "edge.h"
#include "fft.h"
#include "g711.h"
#include "gate.h"
#include "interrupt.h"
#include "jitter.h"
#include "noise.h"
#include "pcm.h"
#include "resample.h"
#include "same.h"
#include "stamps.h"
#include "stretch.h"
#include "volume.h"

enum { MOST = 8192 };

static float out[MOST];

static const float *hop_of(uint32_t hop)
{
    return voice + hop * RT_HOP;
}

/* ---- pcm, g711, fft: exact where they are integers ---- */

static void pcm(void)
{
    int16_t whole[RT_HOP];
    uint64_t state = 5;
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        memcpy(out, hop_of(hop), RT_HOP * sizeof *out);
        rt_pcm_ramp(out, RT_HOP, 0.5f, 3.0f);
        rt_pcm_level level = rt_pcm_measure(out, RT_HOP);
        keep_one(level.peak);
        keep_one(level.mean_square);
        for (int i = 0; i < RT_HOP; i++)
            out[i] = 1.2f * noise(&state);
        rt_pcm_from_float(out, whole, RT_HOP);
        for (int i = 0; i < RT_HOP; i++)
            keep_number(whole[i]);
    }
}

static void g711(void)
{
    static int16_t all[65536], back[65536];
    static uint8_t codes[65536], other[65536];
    for (int i = 0; i < 65536; i++)
        all[i] = (int16_t)(i - 32768);
    for (uint32_t n = 0; n < 2; n++) {
        rt_g711_convert(n ? RT_G711_ALAW_ENCODE : RT_G711_ULAW_ENCODE, all, codes, 65536);
        rt_g711_convert(n ? RT_G711_ALAW_DECODE : RT_G711_ULAW_DECODE, codes, back, 65536);
        rt_g711_convert(n ? RT_G711_ALAW_TO_ULAW : RT_G711_ULAW_TO_ALAW, codes, other, 65536);
        keep_codes(codes, 65536);
        keep_codes(other, 65536);
        for (int i = 0; i < 65536; i++)
            keep_number(back[i]);
    }
}

static void fft(void)
{
    static const uint32_t sizes[] = {240, 480, 512};
    static rt_fft transform;
    static float re[RT_FFT_BINS], im[RT_FFT_BINS];
    for (int n = 0; n < 3; n++) {
        rt_fft_init(&transform, sizes[n]);
        for (uint32_t at = 0; at + 512 < VOICE_HOPS * RT_HOP; at += 4800) {
            rt_fft_forward(&transform, voice + at, re, im);
            keep(re, sizes[n] / 2 + 1);
            keep(im, sizes[n] / 2 + 1);
            rt_fft_backward(&transform, re, im, out);
            keep(out, sizes[n]);
        }
    }
}

/* ---- resample ---- */

static void resample(void)
{
    static const rt_resample_config all[] = {
        {48000, 24000, RT_RESAMPLE_LIVE, 0}, {24000, 48000, RT_RESAMPLE_LIVE, 0}, {44100, 24000, RT_RESAMPLE_LIVE, 0},
        {8000, 24000, RT_RESAMPLE_LIVE, 0},  {24000, 8000, RT_RESAMPLE_LIVE, 0},  {16000, 24000, RT_RESAMPLE_FILE, 0},
        {24000, 24000, RT_RESAMPLE_LIVE, 1},
    };
    for (size_t n = 0; n < sizeof all / sizeof *all; n++) {
        rt_resample *r = malloc(rt_resample_size_for(&all[n]) + 64);
        void *placed = (void *)RT_ALIGN64((uintptr_t)r);
        rt_resample_init_for(placed, &all[n]);
        if (all[n].tunable)
            rt_resample_tune(placed, 150.0);
        for (uint32_t hop = 0; hop < 200; hop++) {
            uint32_t made = rt_resample_process(placed, hop_of(hop + 300), RT_HOP, out, MOST);
            keep_number(made);
            keep(out, made);
        }
        free(r);
    }
}

/* ---- what is heard ---- */

static void conceal(void)
{
    rt_conceal *c = make(rt_conceal_size());
    rt_conceal_init(c);
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        int lost = hop % 11 == 10 || hop % 90 < 5;
        keep_number(rt_conceal_process(c, lost ? NULL : hop_of(hop), out));
        keep_number(rt_conceal_pitch(c));
        keep(out, RT_HOP);
    }
}

static void stretch(float rate)
{
    rt_stretch *s = make(rt_stretch_size());
    rt_stretch_init(s, RT_RATE);
    for (uint32_t at = 0; at + 900 < VOICE_HOPS * RT_HOP;) {
        rt_stretch_step step;
        rt_stretch_process(s, voice + at, 900, rate, out, RT_HOP, &step);
        at += step.consumed;
        keep_number(step.consumed);
        keep_number(step.inserted);
        keep_number(step.removed);
        keep(out, step.made);
    }
}

static void slower(void)
{
    stretch(0.94f);
}

static void faster(void)
{
    stretch(1.06f);
}

static void volume(void)
{
    rt_volume *v = make(rt_volume_size());
    rt_volume_init(v, 10);
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        memcpy(out, hop_of(hop), RT_HOP * sizeof *out);
        keep_number(rt_volume_process(v, out, hop / 20 % 2 ? 0.1f : 4.0f));
        keep(out, RT_HOP);
    }
}

static void edge_and_noise(void)
{
    rt_edge *edge = make(sizeof *edge);
    rt_noise *comfort = make(sizeof *comfort);
    for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
        memcpy(out, hop_of(hop), RT_HOP * sizeof *out);
        if (hop % 10 == 9)
            rt_edge_rise(edge);
        rt_edge_process(edge, out, RT_HOP);
        if (hop % 10 == 8) {
            rt_edge_break(edge);
            rt_edge_tail(edge, out, RT_HOP);
        }
        rt_noise_add(comfort, out, hop % 7 ? 0.01f : 0.0f);
        keep(out, RT_HOP);
    }
}

/* ---- decisions ---- */

/* In steps of 1/16, so that it is exactly a threshold now and then. */
static float probability(uint64_t *state)
{
    return (float)(int)(8.0f * noise(state) + 8.0f) / 16.0f;
}

static void gate(void)
{
    for (int mode = RT_GATE_OFF; mode <= RT_GATE_PAUSE; mode++) {
        rt_gate_config config = {mode, 0.5f, 0.3125f, 200, 300, 500};
        rt_gate *g = make(rt_gate_size());
        uint64_t state = 9;
        rt_gate_init(g, &config);
        for (uint32_t hop = 0; hop < VOICE_HOPS; hop++) {
            rt_gate_plan plan;
            float speech = hop % 300 < 150 ? probability(&state) : 0.0f;
            rt_gate_process(g, hop_of(hop), speech, hop / 50 % 4, hop / 70 % 2, &plan);
            keep_number((int64_t)plan.first);
            keep_number(plan.sound);
            keep_number(plan.silence);
        }
    }
}

static void interrupt(void)
{
    rt_interrupt_config config = {RT_POLICY_EITHER, 0.5f, 120, 200, 0.75f};
    rt_interrupt *r = make(rt_interrupt_size());
    uint64_t state = 10;
    rt_interrupt_init(r, &config);
    for (uint32_t hop = 0; hop < 10 * VOICE_HOPS; hop++) {
        rt_interrupt_result result;
        rt_interrupt_process(r, probability(&state), hop / 400 % 3 ? hop / 150 + 1 : 0, hop / 150 + 1, &result);
        keep_number(result.duck);
        keep_number(result.latch);
        keep_number(result.hold);
        keep_number(result.change);
    }
}

/* Packets of 20 ms, up to 60 ms late, every 50th lost; the clocks drift apart. */
static void jitter(void)
{
    rt_jitter *j = make(rt_jitter_size());
    rt_jitter_config config = {8000, 2000, 1.0f};
    uint64_t state = 11;
    int64_t head = 0, end = 0;
    rt_jitter_init(j, &config);
    for (uint32_t hop = 0; hop < 6000; hop++) {
        rt_jitter_decision decision;
        rt_jitter_placed placed;
        if (hop % 2 == 0 && hop % 100 != 60) {
            int64_t late = (int64_t)(30000 * (1.0f + noise(&state))) + hop / 10;
            rt_jitter_packet packet = {hop * 10000 + late, 1, hop / 2 * 160, 160, (uint16_t)(hop / 2), RT_JITTER_SOUND};
            keep_number(rt_jitter_arrived(j, &packet, &placed));
            end = placed.position + 160;
        }
        int action = rt_jitter_decide(j, hop * 10000 + 3000, head, end > head ? end - head : 0, 0, hop % 50 < 30, &decision);
        head += decision.jump + (action == RT_JITTER_PLAY && end > head ? 80 : 0);
        keep_number(action);
        keep_number(decision.jump);
        keep_one(decision.speed);
        keep_one(decision.target_us / 1e6);
    }
}

static void stamps(void)
{
    rt_stamps *s = make(sizeof *s);
    uint64_t state = 12;
    rt_stamps_init(s, 48000, 1);
    for (uint32_t block = 0; block < 6000; block++) {
        double time = 0.01 * block * 1.00005 + (block > 3000 ? 0.02 : 0.0) + 0.0005 * noise(&state);
        keep_number(rt_stamps_process(s, time, time - 0.01, time - 0.01, 480));
        keep_one(s->stats.ppm);
        keep_one(s->stats.latency);
    }
}

const same_row same_blocks[] = {
    {"pcm", 1e-6, pcm},
    {"g711", 0, g711},
    {"fft", 3e-5, fft}, /* of bins up to 60 */
    {"resample", 1e-6, resample},
    {"conceal", 1e-5, conceal},
    {"stretch at 0.94", 1e-5, slower},
    {"stretch at 1.06", 1e-5, faster},
    {"volume", 1e-5, volume},
    {"edge, comfort noise", 1e-6, edge_and_noise},
    {"gate", 0, gate},
    {"interrupt", 0, interrupt},
    {"jitter", 1e-5, jitter},
    {"stamps", 1e-6, stamps},
    {NULL, 0, NULL},
};
