/* duplex.h - the way of the sound: one microphone and one loudspeaker, two functions, two threads at most.
 *
 *   rt_capture_process:  microphone ▶ mono ▶ 24 kHz ▶ hops ▶ [high-pass] ▶ [echo] ┬▶ vad ▶ interrupt
 *                                                                                 └▶ [noise] ▶ [level] ▶ stages ▶ gate ▶ [8 kHz] ▶ encode ▶ records
 *   rt_duplex_reference: second device ▶ reference.h ▶ beside each hop of the microphone
 *   rt_playback_process: playout (queue) ▶ stages ▶ duck, volume, limit (volume.h) ▶ device rate ▶ channels ▶ loudspeaker
 *
 * Each belongs to one thread; where one callback has both directions rt_duplex_process calls both, capture first, so that a duck decided
 * on this block is heard in this block. The halves share nothing but atomics with one writer each. A device callback, a pacer (pacer.h), a
 * test or a benchmark calls the same functions: what a test hears is what a person hears.
 *
 * Device blocks are interleaved int16 or float, of any size up to max_block_frames, at any rate of 8 to 192 kHz. They are re-blocked
 * into hops; the delay this adds (hop - gcd(hop, block)) is in rt_capture_latency and rt_playback_latency.
 *
 * The loop thread owns everything else here: it reads records and events, pushes sound into the playout (rt_duplex_playout), sets the
 * controls. Records are 10 ms of sent sound in wire form with the position at which it was captured: the time map of captured and sent
 * sound. When the record ring (records_ms) is full the newest hop is lost and counted; when an event ring is full the newest event is
 * lost and counted. Positions are in samples at RT_RATE.
 *
 * What the microphone's sound goes through (hearing.h) is optional and holds sound back: that is in rt_capture_latency, and records, events of
 * speech and interruptions carry the position at which their sound was captured all the same, less the 5 ms of an echo canceller.
 *
 * Mute takes effect at a captured sample: what was said before it is sent, and silence after it. Hold stops the queue where it is, faded
 * out over the volume's ramp, and later goes on from there; what was latched meanwhile is discarded meanwhile.
 *
 * Each hop of the microphone has one of what the loudspeaker plays beside it, for those who ask for it. With a reference (reference.h) it comes
 * from another channel of the same blocks, or from a second device, whose thread calls rt_duplex_reference. Otherwise it is what the playback half
 * has made, just before the device's rate: of one clock and on one thread (tap.h), or, with two_clocks, from the playback thread through a
 * ring of a second that follows the drift between the two (reference.h, by rt_capture_clock and rt_playback_clock). With pairs_ms the
 * two are kept for the loop, side by side.
 *
 * Stages are the user's own DSP (stages.h). Those of the capture half shape what is sent, not what the vad hears; those of the playback
 * half shape the reply before duck and volume, and what they hold back (latency, tails) sounds on after an interruption's fade.
 *
 * Memory: rt_duplex_size bytes, brought by the caller, 64-byte aligned, no pointers inside but those of stages.h: a copy made with memcpy
 * runs without stages. Work per hop: bounded by the blocks'.
 */
#ifndef RT_DUPLEX_H
#define RT_DUPLEX_H

#include "gate.h"
#include "hearing.h"
#include "interrupt.h"
#include "playout.h"
#include "reference.h"
#include "resample.h"
#include "ring.h"
#include "rt.h"
#include "stages.h"
#include "tap.h"
#include "vad.h"
#include "volume.h"

/* cdef begin */
typedef struct rt_duplex rt_duplex;

enum rt_sample { RT_INT16 = 0, RT_FLOAT32 = 1 };
enum { RT_RECORD_BYTES = 480, RT_EVENTS = 256, RT_MAX_CHANNELS = 32 };

enum rt_record_flag {
    RT_RECORD_SILENCE = 1, /* digital silence in place of what was captured here */
    RT_RECORD_LATE = 2     /* sent after younger sound: pre-roll or held */
};

typedef struct rt_record {
    uint64_t position; /* of its first sample in captured time */
    uint32_t bytes;    /* of payload: 480 PCM16, 80 G.711 */
    uint32_t flags;    /* enum rt_record_flag */
    uint8_t payload[480];
} rt_record;

enum rt_event_kind {
    RT_EVENT_SPEECH_STARTED = 1, /* near-end speech; value: 0 */
    RT_EVENT_SPEECH_STOPPED = 2,
    RT_EVENT_DUCKED = 3,    /* value: generation that plays, also below */
    RT_EVENT_CONFIRMED = 4, /* value: generation latched */
    RT_EVENT_RESTORED = 5,
    RT_EVENT_RELEASED = 6,
    RT_EVENT_CAPTURE_GAP = 7, /* value: int32, samples at RT_RATE the device lost about here */
    RT_EVENT_PLAYING = 16, /* value: item; sound begins in this hop */
    RT_EVENT_STARVED = 17,
    RT_EVENT_FADING = 18,
    RT_EVENT_SILENT = 19,
    RT_EVENT_PLAYBACK_GAP = 20 /* value: int32, samples at RT_RATE of silence the device put in about here; negative: dropped */
};

typedef struct rt_pair {
    uint64_t position; /* captured time, as that of a record */
    float microphone[240], reference[240];
} rt_pair;

typedef struct rt_event {
    uint32_t kind;     /* enum rt_event_kind */
    uint32_t value;
    uint64_t position; /* start of the hop, captured time below 16, played time from 16 on */
} rt_event;

typedef struct rt_duplex_config {
    uint32_t capture_rate_hz, playback_rate_hz; /* 8000..192000 */
    uint32_t capture_channels, playback_channels; /* 1..32 */
    uint32_t capture_channel; /* the microphone's */
    int sample;               /* enum rt_sample, both directions */
    uint32_t max_block_frames; /* 1..96000 */
    int send_format;          /* enum rt_format of the records */
    uint32_t records_ms;      /* 2000..60000 of sent sound the record ring holds */
    float speech_threshold;   /* 0..1, for the speech events: probability from which a hop is speech */
    float speech_release;     /* 0..speech_threshold: below it a hop of speech under way is none */
    uint32_t speech_ms;       /* 10..1000 in a row at speech_threshold begin speech */
    uint32_t pause_ms;        /* 10..10000 in a row below speech_release end it */
    float duck_gain;          /* 0..1, linear */
    uint32_t ramp_ms;         /* 10..1000, of duck, volume and hold */
    int wakeup_descriptor;    /* -1: none */
    uint32_t wakeup_records;  /* 1..100 waiting before the loop is woken */
    rt_hearing_config hearing; /* all 0: nothing */
    rt_gate_config gate;
    rt_interrupt_config interrupt;
    rt_playout_config playout;
    rt_reference_config reference; /* channels 0: none; with the microphone's clock its rate, channels and sample are the microphone's */
    uint32_t pairs_ms;             /* 0, or 100..10000: so much of microphone and reference is kept; the newest is lost when it is full */
    int follow_gaps;               /* 1: gaps of the devices move what is played beside the microphone; 0: they are a sound server's guesses */
    int two_clocks;                /* 1: microphone and loudspeaker have clocks, and the halves threads, of their own */
} rt_duplex_config;

typedef struct rt_capture_stats {
    uint64_t frames;       /* device frames taken */
    uint64_t hops;
    uint64_t records;      /* written */
    uint64_t lost_records; /* the ring was full */
    uint64_t lost_events;
    uint64_t lost_pairs;
    float probability, bridged, level_peak, level_rms, floor_db; /* of the last hop; probability is the exact one */
    int muted;                                          /* at the end of the last hop */
    rt_gate_stats gate;
} rt_capture_stats;

typedef struct rt_playback_stats {
    uint64_t frames; /* device frames given */
    uint64_t hops;
    uint64_t lost_events;
    uint64_t limited_hops; /* in which the limiter acted */
    float level_peak, level_rms, gain; /* of the last hop */
    rt_playout_stats playout;
} rt_playback_stats;

size_t rt_duplex_size(const rt_duplex_config *config);
int rt_duplex_init(rt_duplex *duplex, const rt_duplex_config *config);
void rt_duplex_reset(rt_duplex *duplex); /* only while no audio thread runs */

/* Capture thread. `in`: frames * capture_channels samples; NULL counts as silence. */
int rt_capture_process(rt_duplex *duplex, const void *in, uint32_t frames) RT_NONBLOCKING;
/* Playback thread. `out`: frames * playback_channels samples. */
int rt_playback_process(rt_duplex *duplex, void *out, uint32_t frames) RT_NONBLOCKING;
/* The second device's thread: one block in the reference's sample type and channels; NULL is silence. `end_s` as in reference.h. */
int rt_duplex_reference(rt_duplex *duplex, const void *in, uint32_t frames, double end_s) RT_NONBLOCKING;
/* Capture thread, before a block: when its first frame was captured, in seconds of the reference's clock; 0: not known. */
void rt_capture_clock(rt_duplex *duplex, double begin_s) RT_NONBLOCKING;
/* Playback thread, before a block: when its first frame will be heard, on the same clock; 0: not known. */
void rt_playback_clock(rt_duplex *duplex, double begin_s) RT_NONBLOCKING;
/* Both, one thread. */
int rt_duplex_process(rt_duplex *duplex, const void *in, void *out, uint32_t frames) RT_NONBLOCKING;

/* The thread of that half: the device has lost or put in so many device frames. One event each; the sound is left as it is, and with
 * follow_gaps what this side plays is moved as far beside the microphone. */
void rt_capture_gap(rt_duplex *duplex, int64_t frames) RT_NONBLOCKING;
void rt_playback_gap(rt_duplex *duplex, int64_t frames) RT_NONBLOCKING;

/* Added delay in device frames for blocks of `block_frames`: filters, stages and re-blocking. Loop thread. */
double rt_capture_latency(const rt_duplex *duplex, uint32_t block_frames);
double rt_playback_latency(const rt_duplex *duplex, uint32_t block_frames);

/* Loop thread. */
rt_playout *rt_duplex_playout(rt_duplex *duplex);
rt_stages *rt_duplex_capture_stages(rt_duplex *duplex);
rt_stages *rt_duplex_playback_stages(rt_duplex *duplex);
uint32_t rt_duplex_read_records(rt_duplex *duplex, rt_record *records, uint32_t count);
uint32_t rt_duplex_read_events(rt_duplex *duplex, rt_event *events, uint32_t count);
uint32_t rt_duplex_read_pairs(rt_duplex *duplex, rt_pair *pairs, uint32_t count);
void rt_duplex_arm(rt_duplex *duplex); /* wake the loop once when there is something to read */
int rt_duplex_set_volume(rt_duplex *duplex, float volume); /* 0..4, linear */
/* Samples at RT_RATE captured so far, in the time of the records: the position of the next one from the microphone. */
uint64_t rt_capture_position(const rt_duplex *duplex);
/* From captured sample `position` on (below 2^63) silence is heard and sent in place of the microphone, or the microphone again; at once
 * if that has passed. A newer call replaces one whose position has not come yet. */
void rt_duplex_set_mute(rt_duplex *duplex, int mute, uint64_t position);
void rt_duplex_set_hold(rt_duplex *duplex, int hold);      /* the queue stands still and is not heard */
void rt_duplex_set_turn_open(rt_duplex *duplex, int open); /* a turn is open on the server (gate mode PAUSE) */
/* From captured sample `position` on somebody holds the button of push-to-talk, or no more: all of it is sent, whatever the gate thinks of
 * it, whole to the hop. Otherwise as rt_duplex_set_mute. */
void rt_duplex_set_talk(rt_duplex *duplex, int talk, uint64_t position);
/* One snapshot each; RT_FULL as in playout.h. */
int rt_capture_read_stats(const rt_duplex *duplex, rt_capture_stats *stats);
int rt_duplex_read_hearing_stats(const rt_duplex *duplex, rt_hearing_stats *stats);
int rt_playback_read_stats(const rt_duplex *duplex, rt_playback_stats *stats);
/* RT_BAD_ARGUMENT where there is no reference, or where one callback has both halves. */
int rt_duplex_read_reference_stats(const rt_duplex *duplex, rt_reference_stats *stats);
/* cdef end */

#include "board.h"
#include "wakeup.h"

#include <stdatomic.h>

enum { RT_CHUNK = 480, RT_FIFO = 4096, RT_SWITCHES = RT_HEARING_MOST + 2 };

/* rt_playback_stats less the playout's, which has a snapshot of its own. */
typedef struct rt_playback_figures {
    uint64_t frames, hops, lost_events, limited_hops;
    float level_peak, level_rms, gain, unused;
} rt_playback_figures;

/* What a control of the loop does within one hop: from sample `at` on it is as `after` says. */
typedef struct rt_switch {
    uint32_t at;
    int before, after;
} rt_switch;

/* What the capture half owns. Offsets are from the start of rt_duplex. */
typedef struct rt_capture {
    size_t resample_offset, encode_offset, hearing_offset, vad_offset, interrupt_offset, gate_offset, stages_offset, records_offset,
        events_offset, reference_offset, tap_offset, pairs_offset; /* the last three: 0 where there is none */
    int own_reference; /* what the playback half writes */
    uint32_t hop_fill, fired, loud_hops, quiet_hops;
    int speaking;
    rt_switch mute[RT_SWITCHES], talk[RT_SWITCHES]; /* of the newest hops, by their number: they go with the sound */
    float mono[RT_CHUNK], hop[RT_HOP];
    float resampled[RT_FIFO];
    float reference[RT_HOP]; /* beside `hop` */
    double clock_s;          /* of the block's first frame */
    rt_capture_stats stats;
    _Alignas(64) _Atomic uint32_t duck, latch; /* read by the playback half */
    rt_board board;
} rt_capture;

typedef struct rt_playback {
    size_t playout_offset, stages_offset, volume_offset, resample_offset, events_offset;
    uint32_t fifo_first, fifo_count, fired;
    uint32_t last_item;
    int last_state;
    float hop[RT_HOP], fifo[RT_FIFO], spread[RT_CHUNK];
    double clock_s; /* of the block's first frame */
    rt_playback_figures stats;
    _Alignas(64) _Atomic uint32_t playing; /* read by the capture half */
    rt_board board;
} rt_playback;

struct rt_duplex {
    rt_duplex_config config;
    rt_wakeup wakeup;
    _Alignas(64) _Atomic uint32_t volume_bits, hold, turn_open; /* by the loop */
    _Atomic uint64_t mute, talk; /* twice the position, plus 1 for on */
    _Alignas(64) rt_capture capture;
    _Alignas(64) rt_playback playback;
};

static inline void *rt_duplex_part(rt_duplex *duplex, size_t offset) { return (unsigned char *)duplex + offset; }

#endif
