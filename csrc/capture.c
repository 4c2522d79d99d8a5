/* The capture half of duplex.h: what was heard, whether it is speech, and what of it is sent. */
#include "duplex.h"
#include "ftz.h"
#include "g711.h"
#include "pcm.h"

#include <math.h>
#include <string.h>

#define HOP_MS 10u

static void post(rt_duplex *d, uint32_t kind, uint32_t value, uint64_t hop)
{
    rt_capture *c = &d->capture;
    rt_event event = {kind, value, hop * RT_HOP};
    if (rt_ring_write(rt_duplex_part(d, c->events_offset), &event, 1) == 0)
        c->stats.lost_events++;
}

static void encode(rt_duplex *d, const float *hop, rt_record *record)
{
    if (d->config.send_format == RT_PCM16) {
        int16_t samples[RT_HOP];
        rt_pcm_from_float(hop, samples, RT_HOP);
        memcpy(record->payload, samples, sizeof samples);
        record->bytes = sizeof samples;
        return;
    }
    float narrow[RT_HOP / 3 + 1];
    uint32_t n = rt_resample_process(rt_duplex_part(d, d->capture.encode_offset), hop, RT_HOP, narrow, RT_HOP / 3 + 1);
    if (d->config.send_format == RT_ULAW)
        rt_ulaw_encode_float(narrow, record->payload, n);
    else
        rt_alaw_encode_float(narrow, record->payload, n);
    record->bytes = n;
}

static void send(rt_duplex *d, const float *hop, uint64_t number, uint32_t flags)
{
    rt_capture *c = &d->capture;
    rt_ring *ring = rt_duplex_part(d, c->records_offset);
    uint32_t room = 1;
    rt_record *record = rt_ring_reserve(ring, &room);
    if (room == 0) {
        c->stats.lost_records++;
        return;
    }
    record->position = number * RT_HOP;
    record->flags = flags;
    encode(d, hop, record);
    rt_ring_commit(ring, 1);
    c->stats.records++;
}

static void follow_speech(rt_duplex *d, float probability, uint64_t hop)
{
    rt_capture *c = &d->capture;
    int speech = probability >= (c->speaking ? d->config.speech_release : d->config.speech_threshold) && probability > 0.0f;
    c->loud_hops = speech ? c->loud_hops + 1 : 0;
    c->quiet_hops = speech ? 0 : c->quiet_hops + 1;
    if (!c->speaking && c->loud_hops * HOP_MS >= d->config.speech_ms) {
        c->speaking = 1;
        post(d, RT_EVENT_SPEECH_STARTED, 0, hop);
    } else if (c->speaking && c->quiet_hops * HOP_MS >= d->config.pause_ms) {
        c->speaking = 0;
        post(d, RT_EVENT_SPEECH_STOPPED, 0, hop);
    }
}

static int decide(rt_duplex *d, float probability, uint64_t hop)
{
    rt_capture *c = &d->capture;
    rt_interrupt_result result;
    uint32_t playing = atomic_load_explicit(&d->playback.playing, memory_order_acquire);
    rt_interrupt_process(rt_duplex_part(d, c->interrupt_offset), probability, playing, rt_playout_newest(rt_duplex_playout(d)), &result);
    atomic_store_explicit(&c->latch, result.latch, memory_order_release);
    atomic_store_explicit(&c->duck, result.duck, memory_order_release);
    for (uint32_t i = 0; i < 4; i++) /* bit i of the changes is event DUCKED + i */
        if (result.change & 1 << i)
            post(d, RT_EVENT_DUCKED + i, 1 << i == RT_CHANGE_CONFIRMED ? result.latch : playing, hop);
    return result.hold;
}

/* What a control does in the hop that begins at sample `now`; `last` is the hop before. */
static rt_switch turned(const _Atomic uint64_t *control, const rt_switch *last, uint64_t now)
{
    uint64_t word = atomic_load_explicit(control, memory_order_acquire), position = word >> 1;
    uint32_t at = position <= now ? 0 : position - now < RT_HOP ? (uint32_t)(position - now) : RT_HOP;
    return (rt_switch){at, last->after, at < RT_HOP ? (int)(word & 1) : last->after};
}

static rt_switch *of_hop(rt_switch *switches, uint64_t hop) { return &switches[hop % RT_SWITCHES]; }

static void follow_controls(rt_duplex *d)
{
    rt_capture *c = &d->capture;
    uint64_t now = c->stats.hops;
    *of_hop(c->mute, now) = turned(&d->mute, of_hop(c->mute, now + RT_SWITCHES - 1), now * RT_HOP);
    *of_hop(c->talk, now) = turned(&d->talk, of_hop(c->talk, now + RT_SWITCHES - 1), now * RT_HOP);
}

/* Silence in place of samples `from` to `until` of a hop, which lie at `samples`, where they are muted. */
static void silence(const rt_switch *mute, float *samples, uint32_t from, uint32_t until)
{
    uint32_t at = mute->at < from ? from : mute->at > until ? until : mute->at;
    if (mute->before)
        memset(samples, 0, (at - from) * sizeof *samples);
    if (mute->after)
        memset(samples + (at - from), 0, (until - at) * sizeof *samples);
}

/* The same to the sample in hop `hop`, in c->hop: its first samples were captured in the hop before if an echo canceller holds them back. */
static void silence_late(rt_duplex *d, uint64_t hop)
{
    rt_capture *c = &d->capture;
    uint32_t late = rt_hearing_late(rt_duplex_part(d, c->hearing_offset));
    silence(of_hop(c->mute, hop + RT_SWITCHES - 1), c->hop, RT_HOP - late, RT_HOP);
    silence(of_hop(c->mute, hop), c->hop + late, 0, RT_HOP - late);
}

static int holds_button(const rt_switch *talk) { return (talk->before && talk->at > 0) || (talk->after && talk->at < RT_HOP); }

/* Also in the hop after it, if what was said last is in there. */
static int held_button(rt_duplex *d, uint64_t hop)
{
    rt_capture *c = &d->capture;
    int late = rt_hearing_late(rt_duplex_part(d, c->hearing_offset)) > 0;
    return holds_button(of_hop(c->talk, hop)) || (late && holds_button(of_hop(c->talk, hop + RT_SWITCHES - 1)));
}

/* When the hop's first sample was captured; less the filter's delay, which is constant. */
static double hop_time(const rt_duplex *d)
{
    const rt_capture *c = &d->capture;
    double place = (double)(c->stats.hops * RT_HOP) / RT_RATE - (double)c->stats.frames / d->config.capture_rate_hz;
    return c->clock_s > 0.0 ? c->clock_s + place : 0.0;
}

/* What the loudspeaker plays goes beside the hop; both are kept for the loop, if it asked for that. */
static void pair(rt_duplex *d)
{
    rt_capture *c = &d->capture;
    if (c->reference_offset != 0)
        rt_reference_read(rt_duplex_part(d, c->reference_offset), c->reference, hop_time(d));
    else if (c->tap_offset != 0)
        rt_tap_read(rt_duplex_part(d, c->tap_offset), c->reference);
    if (c->pairs_offset == 0)
        return;
    rt_ring *ring = rt_duplex_part(d, c->pairs_offset);
    uint32_t room = 1;
    rt_pair *kept = rt_ring_reserve(ring, &room);
    if (room == 0) {
        c->stats.lost_pairs++;
        return;
    }
    kept->position = c->stats.hops * RT_HOP;
    memcpy(kept->microphone, c->hop, sizeof c->hop);
    silence(of_hop(c->mute, c->stats.hops), kept->microphone, 0, RT_HOP);
    memcpy(kept->reference, c->reference, sizeof c->reference);
    rt_ring_commit(ring, 1);
}

/* All that is decided on captured hop `hop`, which lies in c->hop. Returns what the gate is to do with the sound. */
static int listen(rt_duplex *d, uint64_t hop)
{
    rt_capture *c = &d->capture;
    rt_vad *vad = rt_duplex_part(d, c->vad_offset);
    silence_late(d, hop);
    float probability = rt_vad_process(vad, c->hop);
    follow_speech(d, probability, hop);
    c->stats.probability = probability;
    c->stats.bridged = rt_vad_bridged(vad);
    c->stats.floor_db = rt_vad_floor_db(vad);
    return decide(d, rt_hearing_near(rt_duplex_part(d, c->hearing_offset), rt_vad_foreground(vad, probability)), hop);
}

/* What is sent of captured hop `hop`, and of what was held before it. */
static void pass_on(rt_duplex *d, uint64_t hop, int hold)
{
    static const float nothing[RT_HOP];
    rt_capture *c = &d->capture;
    rt_gate *gate = rt_duplex_part(d, c->gate_offset);
    rt_gate_plan plan;
    silence_late(d, hop);
    rt_stages_process(rt_duplex_part(d, c->stages_offset), c->hop); /* after all decisions: stages shape only what is sent */
    rt_gate_talk(gate, held_button(d, hop));
    rt_gate_process(gate, c->hop, c->stats.probability, hold, (int)atomic_load_explicit(&d->turn_open, memory_order_acquire), &plan);
    for (uint32_t i = 0; i < plan.sound; i++)
        send(d, rt_gate_hop(gate, plan.first + i), plan.first + i, plan.first + i < hop ? RT_RECORD_LATE : 0);
    if (plan.silence)
        send(d, nothing, hop, RT_RECORD_SILENCE);
}

static void hop_done(rt_duplex *d)
{
    rt_capture *c = &d->capture;
    rt_hearing *hearing = rt_duplex_part(d, c->hearing_offset);
    uint64_t now = c->stats.hops, shaped = rt_hearing_shaped(hearing);
    uint32_t playing = atomic_load_explicit(&d->playback.playing, memory_order_acquire);
    follow_controls(d);
    pair(d);
    const rt_switch *mute = of_hop(c->mute, now);
    rt_pcm_level level = rt_pcm_measure(c->hop, RT_HOP);
    rt_hearing_hear(hearing, c->hop, c->reference, playing != 0, held_button(d, now));
    int hold = listen(d, now);
    rt_hearing_shape(hearing, c->hop, c->stats.probability);
    if (now >= shaped)
        pass_on(d, now - shaped, hold);
    c->stats.hops++;
    c->stats.muted = mute->after;
    c->stats.level_peak = mute->after ? 0.0f : level.peak;
    c->stats.level_rms = mute->after ? 0.0f : sqrtf(level.mean_square);
}

static void take(rt_duplex *d, const float *samples, uint32_t count)
{
    rt_capture *c = &d->capture;
    while (count > 0) {
        uint32_t n = RT_HOP - c->hop_fill < count ? RT_HOP - c->hop_fill : count;
        memcpy(c->hop + c->hop_fill, samples, n * sizeof *samples);
        c->hop_fill += n;
        samples += n;
        count -= n;
        if (c->hop_fill == RT_HOP) {
            c->hop_fill = 0;
            hop_done(d);
        }
    }
}

static void wake(rt_duplex *d)
{
    rt_capture *c = &d->capture;
    if (rt_ring_readable(rt_duplex_part(d, c->records_offset)) >= d->config.wakeup_records ||
        rt_ring_readable(rt_duplex_part(d, c->events_offset)) > 0)
        rt_wakeup_signal(&d->wakeup, &c->fired);
}

int rt_capture_process(rt_duplex *d, const void *in, uint32_t frames) RT_NONBLOCKING
{
    if (frames > d->config.max_block_frames)
        return RT_BAD_ARGUMENT;
    uint64_t mode = rt_ftz_begin();
    rt_capture *c = &d->capture;
    size_t bytes = d->config.capture_channels * (d->config.sample == RT_INT16 ? sizeof(int16_t) : sizeof(float));
    for (uint32_t first = 0; first < frames; first += RT_CHUNK) {
        uint32_t n = frames - first < RT_CHUNK ? frames - first : RT_CHUNK;
        if (in != NULL)
            rt_pcm_pick((const unsigned char *)in + first * bytes, d->config.sample, d->config.capture_channels, d->config.capture_channel,
                        c->mono, n);
        else
            memset(c->mono, 0, n * sizeof *c->mono);
        if (d->config.reference.channels > 0 && !d->config.reference.own_clock)
            rt_reference_write(rt_duplex_part(d, c->reference_offset), in ? (const unsigned char *)in + first * bytes : NULL, n, 0.0);
        take(d, c->resampled, rt_resample_process(rt_duplex_part(d, c->resample_offset), c->mono, n, c->resampled, RT_FIFO));
    }
    c->stats.frames += frames;
    c->clock_s = 0.0;
    rt_gate_read_stats(rt_duplex_part(d, c->gate_offset), &c->stats.gate);
    rt_board_publish(&c->board, &c->stats, sizeof c->stats);
    wake(d);
    rt_ftz_end(mode);
    return RT_OK;
}

void rt_capture_clock(rt_duplex *d, double begin_s) RT_NONBLOCKING { d->capture.clock_s = begin_s; }

int rt_duplex_reference(rt_duplex *d, const void *in, uint32_t frames, double end_s) RT_NONBLOCKING
{
    if (d->config.reference.channels == 0 || !d->config.reference.own_clock)
        return RT_BAD_ARGUMENT;
    rt_reference_write(rt_duplex_part(d, d->capture.reference_offset), in, frames, end_s);
    return RT_OK;
}

void rt_capture_gap(rt_duplex *d, int64_t frames) RT_NONBLOCKING
{
    rt_capture *c = &d->capture;
    int64_t samples = frames * RT_RATE / (int64_t)d->config.capture_rate_hz;
    post(d, RT_EVENT_CAPTURE_GAP, (uint32_t)(int32_t)samples, c->stats.hops);
    if (!d->config.follow_gaps)
        return;
    if (c->tap_offset != 0)
        rt_tap_move(rt_duplex_part(d, c->tap_offset), -samples); /* what is heard now was played later than the pair says */
    else if (c->reference_offset != 0)
        rt_reference_lost(rt_duplex_part(d, c->reference_offset), samples);
}
