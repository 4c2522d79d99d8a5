/* playout.h - the queue of received speech, and the ledger of what became of every sample of it.
 *
 * The loop thread pushes sound in wire form (int16 at 24 kHz, or G.711 at 8 kHz), tagged with an item number and a generation; the
 * playback thread takes one hop of mono float at RT_RATE at a time. A sample that was pushed is, for ever after, counted in exactly one
 * of: waiting, played (left this block at full gain), faded (left it inside an interruption's fade), discarded. The counts are in
 * source samples and per item; `played` is what `conversation.item.truncate` is computed from.
 *
 * Generations. Each span carries one; the loop thread opens them in rising order. Whatever is of the latched generation or an older
 * one is faded out if it sounds (raised cosine, fade_ms, beginning with the next hop) and discarded if it waits, also when it is pushed
 * later. The latch is the larger of two numbers, each with one writer: the capture thread's (an argument of process) and the loop's.
 *
 * Policy. FIXED waits for what the configuration says and alters nothing. BURST is for senders that give sound as fast as they make it:
 * a response starts on its first delta unless earlier ones arrived too slowly for that, then it waits as long as those would have needed,
 * or until that much more is at hand; after an underrun that much or refill_ms, whichever is more, has to be at hand (arrival.h has the
 * rule; its time is `output`, read at each push). While less than 150 ms are at hand (half the capacity, if that is less) and no end is,
 * sound is played at 0.94 of its rate, its pitch kept (stretch.h). A sample that this repeats is counted once, when its own place in the
 * source has been passed: what cannot be unheard, and nothing that is still to come.
 *
 * PACED is for packets that come at the pace they are spoken (RTP, media streams), each with a header and its time of arrival
 * (rt_playout_push_packet). `jitter` decides how long they are held and how fast they are played (jitter.h), packets.h puts them in order,
 * conceal.h makes up what is missing and lays every seam over, and the resampler is tuned to the drift of the sender's clock. What comes
 * doubled, late, or too far ahead for the capacity is discarded; what was lost was never pushed. Sound of a dead generation keeps its
 * time, in silence. What the resampler holds 60 ms after the sender fell silent is discarded too (1 or 3 ms). An item ends when its
 * end was pushed and each of its samples has left; the next packet then begins anew.
 * start_ms and refill_ms are not used. The next paragraph is of the other two.
 *
 * Running dry. If the item was completed that is its end and nothing is altered. If not, it is an underrun: what was heard last is
 * played on backwards under a 5 ms fade (no click; counted as concealed), and sound comes back under a 5 ms fade once refill_ms are
 * waiting or the item is complete. A new response starts, unaltered, with start_ms waiting or when it is complete. An interruption
 * fades what is left of those 5 ms like any other sound; when they are over it is silence at once.
 *
 * Threads: push, complete, open, interrupt, retire belong to the loop thread (playout.c), process to the playback thread
 * (playout_sound.c, playout_paced.c); what others read is one snapshot (a sequence number tells a torn read, which is repeated a bounded number of
 * times). Delay: 0 for PCM, that of the 8 to 24 kHz resampler for G.711; PACED 1 or 3 ms of a resampler and 3.75 of the concealment. The
 * ledger counts a sample as played when its centre has left these.
 * Work per hop: RT_HOP samples, at most 512 spans played and 1024 discarded, two searches of stretch.h. PACED: 1024 packets taken, the
 * bounds of packets.h, jitter.h and conceal.h.
 * Memory: capacity_frames samples, 8192 spans, 64 items. PACED: twice the samples, 1024 packets.
 */
#ifndef RT_PLAYOUT_H
#define RT_PLAYOUT_H

#include "jitter.h"
#include "rt.h"

/* cdef begin */
typedef struct rt_playout rt_playout;

enum { RT_PLAYOUT_ITEMS = 64, RT_PLAYOUT_SPANS = 8192 };

enum rt_playout_policy { RT_PLAYOUT_FIXED = 0, RT_PLAYOUT_BURST = 1, RT_PLAYOUT_PACED = 2 };

enum rt_playout_state { RT_SILENT = 0, RT_PLAYING = 1, RT_STARVED = 2, RT_FADING = 3 };

typedef struct rt_playout_config {
    int format;               /* enum rt_format of the queue */
    uint32_t capacity_frames; /* source samples, 240..24000 * 600 */
    uint32_t fade_ms;         /* 1..200, of an interruption */
    uint32_t start_ms;        /* 0..2000 waiting before a response starts */
    uint32_t refill_ms;       /* 0..2000 waiting before sound goes on after an underrun */
    int policy;               /* enum rt_playout_policy */
    uint32_t max_delay_ms;    /* PACED: 200..10000, above it the oldest sound is skipped; no more than the capacity */
    float patience;           /* PACED: 0.25..4, more waits longer and conceals less; 1 is usual */
} rt_playout_config;

typedef struct rt_playout_item {
    uint32_t item, generation;
    uint64_t queued;    /* pushed so far */
    uint64_t played;    /* left the block at full gain, or ducked later */
    uint64_t faded;     /* left it inside an interruption's fade */
    uint64_t discarded; /* never left it */
    int complete;       /* its end was pushed */
    int ended;          /* its end was reached, or discarded */
} rt_playout_item;

typedef struct rt_playout_stats {
    int state;           /* enum rt_playout_state */
    uint32_t generation; /* being played, 0 while silent */
    uint32_t item;       /* played last */
    uint64_t output;     /* samples at RT_RATE that left the block */
    uint64_t queued, played, faded, discarded; /* source samples, all items */
    uint64_t underruns; /* episodes: ran dry before the end and went on later */
    uint64_t interruptions;
    uint64_t stalled_samples; /* at RT_RATE, of tail and silence in those episodes */
    /* WebRTC's getStats names in snake case. Samples are at RT_RATE; delays are sums over the samples that left (played and faded) of
     * samples at RT_RATE. In WebRTC's seconds: jitter_buffer_delay / RT_RATE; the mean per sample: that / jitter_buffer_emitted_count. */
    uint64_t concealed_samples;                  /* concealedSamples: made up where sound broke off */
    uint64_t inserted_samples_for_deceleration;  /* insertedSamplesForDeceleration */
    uint64_t removed_samples_for_acceleration;   /* removedSamplesForAcceleration */
    uint64_t jitter_buffer_delay;                /* jitterBufferDelay: from push to leaving, in whole hops */
    uint64_t jitter_buffer_target_delay;         /* jitterBufferTargetDelay: what was waited for before sound began */
    uint64_t jitter_buffer_emitted_count;        /* jitterBufferEmittedCount: samples at RT_RATE of the sums */
} rt_playout_stats;

/* PACED: what the link is like, as of the last hop. */
typedef struct rt_playout_link {
    uint64_t packets, doubled, late, reordered, rebased;
    uint64_t lost;    /* sequence numbers that never came or are still to come */
    float jitter_ms;  /* largest relative delay of the last 500 ms */
    float drift_ppm;  /* how much faster our clock runs than the sender's */
    float target_ms;  /* the delay aimed at */
    float tuned_ppm;  /* how much faster than nominal the sender's samples are played, to follow that drift */
} rt_playout_link;

size_t rt_playout_size(const rt_playout_config *config);
int rt_playout_init(rt_playout *playout, const rt_playout_config *config);
void rt_playout_reset(rt_playout *playout);

/* Loop thread. Open a generation (must be newer than the last; returns RT_BAD_ARGUMENT otherwise). */
int rt_playout_open(rt_playout *playout, uint32_t generation);
uint32_t rt_playout_newest(const rt_playout *playout) RT_NONBLOCKING;
/* Queue up to `frames` samples of item (not 0). Returns how many were taken, or RT_FULL when there is no room for any or no row for a
 * 65th live item, or RT_BAD_ARGUMENT for item 0, a generation never opened, or an item whose generation changed or that is complete. */
int64_t rt_playout_push(rt_playout *playout, uint32_t item, uint32_t generation, const void *samples, uint32_t frames);
/* PACED: queue one packet, whole or not at all. RT_OK; RT_FULL; RT_BAD_ARGUMENT as above, for another policy, and for sound whose
 * packet->frames is not `frames`. Comfort noise: `samples` is its payload of `frames` bytes, the first of which is the level in -dBov
 * (RFC 3389; the spectrum is not used); an event brings none. packet->arrival_us is on the clock of rt_playout_clock. */
int rt_playout_push_packet(rt_playout *playout, uint32_t item, uint32_t generation, const rt_jitter_packet *packet, const void *samples,
                           uint32_t frames);
/* No more samples of this item will come. RT_BAD_ARGUMENT for an unknown item, RT_FULL when the span queue has no room. */
int rt_playout_complete(rt_playout *playout, uint32_t item);
/* Forget the row of an item that has ended, or that was discarded whole. RT_FULL before that. */
int rt_playout_retire(rt_playout *playout, uint32_t item);
/* Latch this generation and all older ones. */
void rt_playout_interrupt(rt_playout *playout, uint32_t generation);
uint64_t rt_playout_waiting(const rt_playout *playout); /* source samples in the queue */

/* Playback thread. Writes RT_HOP samples; `latch` as above. Returns the generation that sounds (or starves), 0 for silence. */
uint32_t rt_playout_process(rt_playout *playout, uint32_t latch, float *out) RT_NONBLOCKING;
/* PACED: the time, in microseconds of the clock of arrivals, at which the next hop is made. Later hops are 10 ms apart until it is told
 * again; the clock begins at 0. */
void rt_playout_clock(rt_playout *playout, int64_t now_us) RT_NONBLOCKING;

/* RT_FULL if the playback thread was in the way 1000 times running. An item is read by the loop thread (RT_BAD_ARGUMENT if unknown),
 * the statistics by any. */
int rt_playout_read_item(const rt_playout *playout, uint32_t item, rt_playout_item *row);
int rt_playout_read_stats(const rt_playout *playout, rt_playout_stats *stats);
/* PACED, any thread. RT_BAD_ARGUMENT for another policy. */
int rt_playout_read_link(const rt_playout *playout, rt_playout_link *link);
double rt_playout_latency(const rt_playout *playout); /* samples at RT_RATE */
/* cdef end */

#include "arrival.h"
#include "edge.h"
#include "lag.h"
#include "paced.h"
#include "resample.h"
#include "ring.h"
#include "stretch.h"

#include <stdatomic.h>

enum { RT_PLAYOUT_STAGE = 512 };

/* A row's fields have one writer each: the loop thread the first group, the playback thread the second. Rows are used again, and the
 * playback thread's counters are never set back: the loop thread remembers where they stood (base_*). */
typedef struct rt_playout_row {
    _Atomic uint32_t item, generation, complete;
    _Atomic uint32_t start;   /* source samples to have at hand before it starts */
    _Atomic uint64_t start_at; /* or `output` from when on it starts with what there is */
    _Atomic uint64_t queued;
    uint64_t base_played, base_faded, base_discarded, base_ends;
    _Alignas(64) _Atomic uint64_t played, faded, discarded, ends;
} rt_playout_row;

typedef struct rt_playout_span {
    uint32_t row, generation, frames, end;
    uint64_t arrived; /* `output` when it was pushed */
} rt_playout_span;

/* Taken from the spans, decoded, and not yet consumed by the stretcher: of one generation, the ledger counts it as waiting. */
typedef struct rt_playout_stage {
    uint32_t frames, first, count;          /* parts: a ring of which these are in use */
    rt_playout_span parts[RT_PLAYOUT_STAGE]; /* at least one sample each */
    float sound[RT_PLAYOUT_STAGE];
} rt_playout_stage;

struct rt_playout {
    rt_playout_config config;
    uint32_t frame_bytes, rate_hz, hop_frames; /* of the source */
    size_t resample_offset, paced_offset, spans_offset, data_offset;
    uint64_t capacity;

    /* loop thread */
    _Alignas(64) _Atomic uint32_t opened, host_latch;
    _Atomic uint64_t pushed, ends_pushed;
    _Atomic uint32_t refill; /* source samples to have at hand after an underrun */
    rt_arrival arrival;

    /* playback thread, read by others */
    _Alignas(64) _Atomic uint32_t sequence; /* odd while process runs */
    _Atomic uint64_t taken, drained, ends_passed;
    _Atomic uint32_t state, playing, last_item;
    _Atomic uint64_t output, played, faded, discarded, concealed, underruns, interruptions;
    _Atomic uint64_t stalled, inserted, removed, delay, target_delay, emitted;

    /* playback thread only */
    rt_playout_span span; /* taken from the span ring, frames still to go */
    int have_span, at_end, fade_dry;
    uint64_t read;     /* position in the data of the next sample to stage */
    uint64_t stalling; /* samples at RT_RATE since it ran dry */
    uint64_t target;   /* samples at RT_RATE waited for before this sound began */
    float rate;        /* of playing, in this hop */
    uint32_t last_row; /* played last */
    uint32_t fade_position, fade_frames;
    rt_edge edge;
    rt_stretch stretch;
    rt_playout_stage stage;
    rt_lag lag; /* whose samples are inside the resampler */
    uint32_t lag_tail;

    rt_playout_row rows[RT_PLAYOUT_ITEMS];
};

#endif
