/* Both halves of the duplex, alone and together: a call in which everything happens once in each cycle of 2 s.
 *
 * A reply is queued in deltas of 50 ms, never much ahead, so that it is played slowed down; after 0.6 s a person speaks
 * into it for 0.8 s: a duck, the confirmed interruption, the fade, what was held is sent at once; then the next reply.
 * To the paced policy the reply comes as packets of 20 ms, some of them late and some lost.
 * A stage runs in each half, the volume is not 1, and the gate sends silence between the speech. With `busy` 0 nothing
 * is said and nothing is played. With `hearing` the reply comes back into the microphone 40 ms later, and all is done
 * that the capture half can do about that, noise and level. To count another playout policy, add rows with another.
 */
#include "duplex.h"
#include "workload.h"

typedef struct call {
    uint32_t rate;
    int format; /* enum rt_format, both ways */
    int policy; /* enum rt_playout_policy */
    int busy;
    int hearing;
} call;

enum { ECHO_HOPS = 4 };

enum { ENDS = 90 }; /* hop of the cycle in which the server has heard of the interruption and sends no more */

static const call *now;
static rt_duplex *duplex;
static uint32_t item;
static int16_t silence[MOST_FRAMES], loudspeaker[MOST_FRAMES];
static int16_t echo[ECHO_HOPS][MOST_FRAMES], heard[MOST_FRAMES];

/* A peaking equaliser, as a user would add one. */
static void equalise(void *state, float *block, uintptr_t n)
{
    float *z = state;
    for (uintptr_t i = 0; i < n; i++) {
        float x = block[i], y = 1.04f * x + z[0];
        z[0] = -1.6f * x + 1.6f * y + z[1];
        z[1] = 0.72f * x - 0.76f * y;
        block[i] = y;
    }
}

static void begin(const void *option)
{
    static float states[2][2];
    now = option;
    uint32_t wire = now->format == RT_PCM16 ? RT_RATE : 8000;
    rt_duplex_config config = {
        .capture_rate_hz = now->rate,
        .playback_rate_hz = now->rate,
        .capture_channels = 1,
        .playback_channels = 1,
        .sample = RT_INT16,
        .max_block_frames = MOST_FRAMES,
        .send_format = now->format,
        .records_ms = 2000,
        .speech_threshold = 0.5f,
        .speech_release = 0.35f,
        .speech_ms = 20,
        .pause_ms = 150,
        .duck_gain = 0.25f,
        .ramp_ms = 10,
        .wakeup_descriptor = -1,
        .wakeup_records = 1,
        .gate = {RT_GATE_SILENCE, 0.5f, 0.3f, 200, 200, 0},
        .interrupt = {RT_POLICY_EITHER, 0.5f, 120, 300},
        .playout = {
            .format = now->format,
            .capacity_frames = wire * 5,
            .fade_ms = 20,
            .policy = now->policy,
            .max_delay_ms = 2000,
            .patience = 1.0f,
        },
    };
    if (now->hearing)
        config.hearing = (rt_hearing_config){
            .echo = RT_ECHO_MODE_AUTO, .comfort_noise = 1, .unsure_threshold = 0.8f, .highpass_hz = 80.0f,
            .noise_reduction = RT_NOISE_REDUCTION_FAR, .noise_strength = 1.0f, .agc_dbfs = -20.0f, .agc_most_db = 30.0f,
        };
    memset(echo, 0, sizeof echo);
    duplex = memory(rt_duplex_size(&config));
    if (rt_duplex_init(duplex, &config) != RT_OK)
        abort();
    rt_duplex_set_volume(duplex, 0.8f);
    rt_stage heard = {equalise, states[0], 0, 0}, played = {equalise, states[1], 0, 0};
    rt_stages_set(rt_duplex_capture_stages(duplex), &heard, 1);
    rt_stages_set(rt_duplex_playback_stages(duplex), &played, 1);
}

static const int16_t *microphone(uint32_t hop)
{
    uint32_t place = hop % CYCLE;
    if (now->hearing)
        return heard;
    return now->busy && place >= 60 && place < 140 ? voice_hop_int16(now->rate, hop) : silence;
}

static void push_delta(rt_playout *playout, uint32_t hop, uint32_t wire)
{
    if (rt_playout_waiting(playout) >= wire / 20)
        return;
    for (uint32_t i = 0; i < 5; i++) /* of G.711 any byte is sound */
        rt_playout_push(playout, item, item, voice_hop_int16(wire, hop + i), wire / 100);
}

/* Packet n is sent in hop 2 n. Of every 40 one is lost, and one is 80 ms late and those behind it with it. */
static void push_packets(rt_playout *playout, uint32_t hop, uint32_t wire)
{
    static uint32_t next;
    uint32_t frames = wire / 50;
    rt_playout_clock(playout, (int64_t)hop * 10000);
    for (; next * 2 + (next % 40 == 30 ? 8 : 0) <= hop; next++) {
        rt_jitter_packet packet = {(int64_t)hop * 10000, 1, next * frames, frames, (uint16_t)next, RT_JITTER_SOUND};
        if (next % 40 != 10)
            rt_playout_push_packet(playout, item, item, &packet, voice_hop_int16(wire, next * 2), frames);
    }
}

/* The loop thread: what was read, and the next delta of a reply that is interrupted in its first second. */
static void loop_thread(uint32_t hop)
{
    static rt_record records[64];
    static rt_event events[64];
    rt_playout *playout = rt_duplex_playout(duplex);
    uint32_t wire = now->format == RT_PCM16 ? RT_RATE : 8000;
    rt_duplex_read_records(duplex, records, 64);
    rt_duplex_read_events(duplex, events, 64);
    if (!now->busy)
        return;
    if (hop % CYCLE == 0) {
        if (item)
            rt_playout_retire(playout, item);
        rt_playout_open(playout, ++item);
    }
    if (now->policy == RT_PLAYOUT_PACED)
        push_packets(playout, hop, wire);
    else if (hop % CYCLE < ENDS)
        push_delta(playout, hop, wire);
}

static void capture(uint32_t hop)
{
    rt_capture_process(duplex, microphone(hop), now->rate / 100);
}

static void playback(uint32_t hop)
{
    (void)hop;
    rt_playback_process(duplex, loudspeaker, now->rate / 100);
}

static void playback_uncounted(uint32_t hop)
{
    loop_thread(hop);
    playback(hop);
}

/* The air between loudspeaker and microphone, not counted. */
static void room_and_loop(uint32_t hop)
{
    uint32_t frames = now->rate / 100, place = hop % CYCLE;
    const int16_t *said = now->busy && place >= 60 && place < 140 ? voice_hop_int16(now->rate, hop) : silence;
    memcpy(echo[hop % ECHO_HOPS], loudspeaker, frames * sizeof **echo);
    for (uint32_t i = 0; i < frames; i++)
        heard[i] = (int16_t)(said[i] / 2 + echo[(hop + 1) % ECHO_HOPS][i] / 3 + (int)((hop * 7919u + i * 31u) % 17u) - 8);
    loop_thread(hop);
}

static void both(uint32_t hop)
{
    rt_duplex_process(duplex, microphone(hop), loudspeaker, now->rate / 100);
}

static void capture_uncounted(uint32_t hop)
{
    loop_thread(hop);
    capture(hop);
}

#define CALL(rate, format, policy, busy) (&(const call){rate, format, policy, busy, 0})
#define HEARING(rate, format, busy) (&(const call){rate, format, RT_PLAYOUT_BURST, busy, 1})
#define BURST RT_PLAYOUT_BURST

const workload half_workloads[] = {
    {"capture half, 48 kHz, pcm", begin, CALL(48000, RT_PCM16, BURST, 1), capture, NULL, playback_uncounted},
    {"playback half, 48 kHz, pcm", begin, CALL(48000, RT_PCM16, BURST, 1), playback, capture_uncounted, NULL},
    {"both halves, 48 kHz, pcm", begin, CALL(48000, RT_PCM16, BURST, 1), both, loop_thread, NULL},
    {"both halves, 48 kHz, pcmu", begin, CALL(48000, RT_ULAW, BURST, 1), both, loop_thread, NULL},
    {"both halves, 44.1 kHz, pcma", begin, CALL(44100, RT_ALAW, BURST, 1), both, loop_thread, NULL},
    {"both halves, 48 kHz, pcm, paced", begin, CALL(48000, RT_PCM16, RT_PLAYOUT_PACED, 1), both, loop_thread, NULL},
    {"both halves, 48 kHz, pcmu, paced", begin, CALL(48000, RT_ULAW, RT_PLAYOUT_PACED, 1), both, loop_thread, NULL},
    {"both halves, 48 kHz, pcm, fixed", begin, CALL(48000, RT_PCM16, RT_PLAYOUT_FIXED, 1), both, loop_thread, NULL},
    {"both halves, 48 kHz, pcm, silence", begin, CALL(48000, RT_PCM16, BURST, 0), both, loop_thread, NULL},
    {"both halves, 48 kHz, pcm, echo, noise and level", begin, HEARING(48000, RT_PCM16, 1), both, room_and_loop, NULL},
    {"both halves, 48 kHz, pcm, echo, noise and level, silence", begin, HEARING(48000, RT_PCM16, 0), both, room_and_loop, NULL},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};
