/* One block at a time, 10 ms of the synthetic voice in each hop; the sound lies ready, so nothing else is counted. */
#include "conceal.h"
#include "denoise.h"
#include "echo_delay.h"
#include "echo_filter.h"
#include "edge.h"
#include "g711.h"
#include "gate.h"
#include "interrupt.h"
#include "jitter.h"
#include "pcm.h"
#include "resample.h"
#include "ring.h"
#include "stages.h"
#include "stretch.h"
#include "vad.h"
#include "volume.h"
#include "workload.h"

static void *block; /* the one that is counted */
static float out[4096];

/* ---- resample ---- */

static uint32_t rate_in;

static void begin_resample(const void *option)
{
    const rt_resample_config *config = option;
    rate_in = config->rate_in;
    block = memory(rt_resample_size_for(config));
    rt_resample_init_for(block, config);
}

static void resample(uint32_t hop)
{
    rt_resample_process(block, voice_hop(rate_in, hop), rate_in / 100, out, 4096);
}

#define RATES(in, out, quality, tunable) (&(const rt_resample_config){in, out, quality, tunable})

/* ---- pcm, g711, ring: 10 ms at the inner rate, or at 8 kHz ---- */

static int16_t whole[RT_HOP];
static uint8_t codes[RT_HOP], other[RT_HOP];

static void begin_pcm(const void *option)
{
    (void)option;
}

static void from_float(uint32_t hop)
{
    rt_pcm_from_float(voice_hop(RT_RATE, hop), whole, RT_HOP);
}

static void to_float(uint32_t hop)
{
    rt_pcm_to_float(voice_hop_int16(RT_RATE, hop), out, RT_HOP);
}

static uint32_t conversion;

static void begin_g711(const void *option)
{
    conversion = *(const uint32_t *)option;
}

static void g711(uint32_t hop)
{
    int encodes = conversion == RT_G711_ULAW_ENCODE || conversion == RT_G711_ALAW_ENCODE;
    int decodes = conversion == RT_G711_ULAW_DECODE || conversion == RT_G711_ALAW_DECODE;
    const void *in = encodes ? (const void *)voice_hop_int16(8000, hop) : codes;
    rt_g711_convert(conversion, in, decodes ? (void *)whole : other, 80);
}

static void code_hop(uint32_t hop)
{
    rt_ulaw_encode(voice_hop_int16(8000, hop), codes, 80);
}

#define CONVERSION(which) (&(const uint32_t){which})

static void begin_ring(const void *option)
{
    (void)option;
    block = memory(rt_ring_size(2, 4800));
    rt_ring_init(block, 2, 4800);
}

static void ring(uint32_t hop)
{
    rt_ring_write(block, voice_hop_int16(RT_RATE, hop), RT_HOP);
    rt_ring_read(block, whole, RT_HOP);
}

/* ---- vad, gate, interrupt ---- */

static void begin_vad(const void *option)
{
    (void)option;
    block = memory(rt_vad_size());
    rt_vad_init(block);
}

static void vad(uint32_t hop)
{
    rt_vad_process(block, voice_hop(RT_RATE, hop));
}

/* Speech in the middle of the cycle. */
static float probability(uint32_t hop)
{
    return hop % CYCLE >= 60 && hop % CYCLE < 140 ? 0.9f : 0.1f;
}

static void begin_gate(const void *option)
{
    (void)option;
    rt_gate_config config = {RT_GATE_SILENCE, 0.5f, 0.3f, 200, 200, 0};
    block = memory(rt_gate_size());
    rt_gate_init(block, &config);
}

static void gate(uint32_t hop)
{
    rt_gate_plan plan;
    rt_gate_process(block, voice_hop(RT_RATE, hop), probability(hop), RT_HOLD_OFF, 0, &plan);
}

static void begin_interrupt(const void *option)
{
    (void)option;
    rt_interrupt_config config = {RT_POLICY_EITHER, 0.3f, 80, 300, 0.5f};
    block = memory(rt_interrupt_size());
    rt_interrupt_init(block, &config);
}

static void interrupt(uint32_t hop)
{
    rt_interrupt_result result;
    uint32_t generation = hop / CYCLE + 1;
    rt_interrupt_process(block, probability(hop), generation, generation, &result);
}

/* ---- stages ---- */

static void leave(void *state, float *samples, uintptr_t n)
{
    (void)state, (void)samples, (void)n;
}

static void begin_stages(const void *option)
{
    (void)option;
    block = memory(rt_stages_size());
    rt_stages_init(block);
}

/* Bypassed or not by turns: a change, and with it a fade, in every 20th hop. */
static void swap(uint32_t hop)
{
    rt_stage stage = {leave, NULL, 0, hop / 20 % 2};
    if (hop % 20 == 0)
        rt_stages_set(block, &stage, 1);
    memcpy(out, voice_hop(RT_RATE, hop), RT_HOP * sizeof *out);
}

static void stages(uint32_t hop)
{
    (void)hop;
    rt_stages_process(block, out);
}

/* ---- edge, stretch, conceal ---- */

static rt_edge edge_state;

static void hop_in_out(uint32_t hop)
{
    memcpy(out, voice_hop(RT_RATE, hop), RT_HOP * sizeof *out);
}

static void begin_volume(const void *option)
{
    (void)option;
    block = memory(rt_volume_size());
    rt_volume_init(block, 10);
}

/* Ducked half of the time, and so loud in the other that the limiter acts. */
static void volume(uint32_t hop)
{
    rt_volume_process(block, out, hop / 20 % 2 ? 0.1f : 4.0f);
}

static void edge(uint32_t hop)
{
    if (hop % 10 == 9)
        rt_edge_rise(&edge_state);
    rt_edge_process(&edge_state, out, RT_HOP);
    if (hop % 10 == 8) {
        rt_edge_break(&edge_state);
        rt_edge_tail(&edge_state, out, RT_HOP);
    }
}

static float speed;
static float queue[4 * 1000];
static uint32_t queued, next;

static void begin_stretch(const void *option)
{
    speed = *(const float *)option;
    block = memory(rt_stretch_size());
    rt_stretch_init(block, RT_RATE);
}

static void fill(uint32_t hop)
{
    (void)hop;
    for (; queued < 900; queued += RT_HOP)
        memcpy(queue + queued, voice_hop(RT_RATE, next++), RT_HOP * sizeof *queue);
}

static void stretch(uint32_t hop)
{
    (void)hop;
    for (uint32_t made = 0; made < RT_HOP;) {
        rt_stretch_step step;
        rt_stretch_process(block, queue, queued, speed, out + made, RT_HOP - made, &step);
        made += step.made;
        queued -= step.consumed;
        memmove(queue, queue + step.consumed, queued * sizeof *queue);
    }
}

#define SPEED(rate) (&(const float){rate})

static uint32_t loses; /* every so manyth hop */

static void begin_conceal(const void *option)
{
    loses = *(const uint32_t *)option;
    block = memory(rt_conceal_size());
    rt_conceal_init(block);
}

static void conceal(uint32_t hop)
{
    rt_conceal_process(block, loses && hop % loses == 0 ? NULL : voice_hop(RT_RATE, hop), out);
}

static void begin_echo_delay(const void *option)
{
    (void)option;
    block = memory(rt_echo_delay_size());
    rt_echo_delay_init(block);
}

static void echo_delay(uint32_t hop)
{
    rt_echo_delay_process(block, voice_hop(RT_RATE, hop), out);
}

static void begin_echo_filter(const void *option)
{
    (void)option;
    block = memory(rt_echo_filter_size());
    rt_echo_filter_init(block);
}

static void echo_filter(uint32_t hop)
{
    rt_echo_filter_process(block, voice_hop(RT_RATE, hop), out, out + RT_HOP, out + 2 * RT_HOP);
}

static void begin_denoise(const void *option)
{
    (void)option;
    block = memory(rt_denoise_size());
    rt_denoise_init(block, RT_DENOISE_FAR, 1.0f);
}

static void denoise(uint32_t hop)
{
    (void)hop;
    rt_denoise_process(block, out);
}

#define EVERY(hops) (&(const uint32_t){hops})

/* ---- jitter: packets of 20 ms, up to 30 ms late ---- */

static int64_t head, end;

static void begin_jitter(const void *option)
{
    rt_jitter_config config = {8000, 2000, 1.0f};
    (void)option;
    block = memory(rt_jitter_size());
    rt_jitter_init(block, &config);
}

static void jitter(uint32_t hop)
{
    rt_jitter_decision decision;
    rt_jitter_placed placed;
    if (hop % 2 == 0) {
        rt_jitter_packet packet = {hop * 10000 + hop * 7919 % 30000, 1, hop / 2 * 160, 160, (uint16_t)(hop / 2), 0};
        rt_jitter_arrived(block, &packet, &placed);
        end = placed.position + 160;
    }
    int action = rt_jitter_decide(block, hop * 10000, head, end > head ? end - head : 0, 0, 1, &decision);
    head += decision.jump + (action == RT_JITTER_PLAY && end > head ? 80 : 0);
}

const workload block_workloads[] = {
    {"resample 48 to 24 kHz", begin_resample, RATES(48000, 24000, RT_RESAMPLE_LIVE, 0), resample, NULL, NULL},
    {"resample 24 to 48 kHz", begin_resample, RATES(24000, 48000, RT_RESAMPLE_LIVE, 0), resample, NULL, NULL},
    {"resample 44.1 to 24 kHz", begin_resample, RATES(44100, 24000, RT_RESAMPLE_LIVE, 0), resample, NULL, NULL},
    {"resample 8 to 24 kHz", begin_resample, RATES(8000, 24000, RT_RESAMPLE_LIVE, 0), resample, NULL, NULL},
    {"resample 24 to 8 kHz", begin_resample, RATES(24000, 8000, RT_RESAMPLE_LIVE, 0), resample, NULL, NULL},
    {"resample 48 to 24 kHz, tunable", begin_resample, RATES(48000, 24000, RT_RESAMPLE_LIVE, 1), resample, NULL, NULL},
    {"resample 48 to 24 kHz, file", begin_resample, RATES(48000, 24000, RT_RESAMPLE_FILE, 0), resample, NULL, NULL},
    {"pcm from float", begin_pcm, NULL, from_float, NULL, NULL},
    {"pcm to float", begin_pcm, NULL, to_float, NULL, NULL},
    {"g711 mu-law encode", begin_g711, CONVERSION(RT_G711_ULAW_ENCODE), g711, NULL, NULL},
    {"g711 mu-law decode", begin_g711, CONVERSION(RT_G711_ULAW_DECODE), g711, code_hop, NULL},
    {"g711 A-law encode", begin_g711, CONVERSION(RT_G711_ALAW_ENCODE), g711, NULL, NULL},
    {"g711 A-law decode", begin_g711, CONVERSION(RT_G711_ALAW_DECODE), g711, code_hop, NULL},
    {"g711 mu-law to A-law", begin_g711, CONVERSION(RT_G711_ULAW_TO_ALAW), g711, code_hop, NULL},
    {"ring, write and read", begin_ring, NULL, ring, NULL, NULL},
    {"vad", begin_vad, NULL, vad, NULL, NULL},
    {"gate", begin_gate, NULL, gate, NULL, NULL},
    {"interrupt", begin_interrupt, NULL, interrupt, NULL, NULL},
    {"stages, swapping", begin_stages, NULL, stages, swap, NULL},
    {"volume", begin_volume, NULL, volume, hop_in_out, NULL},
    {"edge", begin_pcm, NULL, edge, hop_in_out, NULL},
    {"stretch at 0.94", begin_stretch, SPEED(0.94f), stretch, fill, NULL},
    {"stretch at 1.06", begin_stretch, SPEED(1.06f), stretch, fill, NULL},
    {"conceal, nothing lost", begin_conceal, EVERY(0), conceal, NULL, NULL},
    {"conceal, every tenth lost", begin_conceal, EVERY(10), conceal, NULL, NULL},
    {"echo delay", begin_echo_delay, NULL, echo_delay, hop_in_out, NULL},
    {"echo filter", begin_echo_filter, NULL, echo_filter, hop_in_out, NULL},
    {"denoise", begin_denoise, NULL, denoise, hop_in_out, NULL},
    {"jitter", begin_jitter, NULL, jitter, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};
