/* jitter.h - how long to hold packets that come at the pace they are spoken, and what to do in each hop. No audio passes here.
 *
 * `arrived` takes each RTP packet's header and time of arrival and says where its sound belongs: a position in samples of the sender's
 * clock on one line without wraps or jumps. `decide` is asked once per hop what to play at the playhead, a position on that line, and
 * answers with an action, a speed and a jump. All times are passed in (microseconds of one monotonic clock); there is no clock here.
 *
 * Target. A packet's relative delay is its (arrival - time stamp) above the least of the last 40 s, straightened by the estimated drift
 * of the two clocks. Quantiles of it over long and short times give the delay to hold (delays.h); `patience` scales it.
 * Nothing to play is waited for (conceal, the playhead stands), so the delay grows; it comes back down to the target when no packet was
 * late for 2.2 s, as outages cluster: in pauses at up to 40 %, in speech at 6 to 8 % and only from far above. Below the target pauses
 * are lengthened, and speech when far below. Little at hand and nothing arriving: slower before it runs dry. Above max_delay_ms the
 * oldest sound is skipped.
 *
 * Not loss: discontinuous transmission (time stamps leap, sequence numbers do not), comfort noise, telephone events. A new SSRC, or
 * time stamps out of [-1 s, +10 s] of what was expected (hold, transfer), starts the base again behind the newest sound and keeps the
 * histograms; so does rt_jitter_rebase, for the next call. One thread. Adds no delay itself; `target` is the delay it aims at.
 * Work: `arrived` 128 steps, every 500 ms 800 more; `decide` 64 steps. Any input is safe; nothing can go wrong after init.
 */
#ifndef RT_JITTER_H
#define RT_JITTER_H

#include "rt.h"

/* cdef begin */
typedef struct rt_jitter rt_jitter;

enum rt_jitter_kind {
    RT_JITTER_SOUND = 0,
    RT_JITTER_NOISE = 1, /* comfort noise, payload type 13 */
    RT_JITTER_EVENT = 2  /* RFC 4733: its sequence number counts, its time stamp does not */
};

enum rt_jitter_verdict {
    RT_JITTER_TAKEN = 0,   /* put its sound at `position` */
    RT_JITTER_DOUBLED = 1, /* came before: leave it */
    RT_JITTER_LATE = 2,    /* its place has been played: leave it */
    RT_JITTER_REBASED = 3  /* as TAKEN, the first packet of a new base */
};

enum rt_jitter_action {
    RT_JITTER_PLAY = 0,  /* from the playhead at `speed`; if that runs out inside the hop, conceal the rest */
    RT_JITTER_START = 1, /* silence, the playhead stands: the start, or after a new base */
    RT_JITTER_WAIT = 2,  /* conceal, the playhead stands: nothing came */
    RT_JITTER_LOST = 3,  /* conceal, the playhead moves on at normal speed, up to the next sound at hand: later sound is here */
    RT_JITTER_QUIET = 4  /* comfort noise or silence, the playhead moves on: the sender is silent */
};

typedef struct rt_jitter_config {
    uint32_t clock_hz;     /* 8000..192000, of the time stamps */
    uint32_t max_delay_ms; /* 200..10000: above it the oldest sound is skipped; 2000 is usual */
    float patience;        /* 0.25..4, the one knob: more holds longer and conceals less; 1 is usual */
} rt_jitter_config;

typedef struct rt_jitter_packet {
    int64_t arrival_us;
    uint32_t ssrc, timestamp;
    uint32_t frames; /* samples of sound in it, at clock_hz; 0 for events */
    uint16_t sequence;
    uint16_t kind; /* enum rt_jitter_kind */
} rt_jitter_packet;

typedef struct rt_jitter_placed {
    int verdict;      /* enum rt_jitter_verdict */
    int64_t position; /* samples */
} rt_jitter_placed;

typedef struct rt_jitter_decision {
    int action;        /* enum rt_jitter_action */
    float speed;       /* PLAY: samples of sound per sample played; 1 unaltered, 0.5..1.5 */
    int64_t jump;      /* move the playhead on by this many samples first: sound that is lost, silent or skipped */
    int skipped;       /* 1: the jump passes over sound that is at hand */
    int32_t delay_us;  /* of the playhead above the fastest packet, for statistics */
    int32_t target_us; /* aimed at */
} rt_jitter_decision;

typedef struct rt_jitter_stats {
    uint64_t packets, doubled, late, reordered, rebased;
    uint64_t lost;  /* sequence numbers that never came or are still to come */
    float jitter_ms; /* largest relative delay of the last 500 ms */
    float drift_ppm; /* how much faster our clock runs than the sender's, -1000..1000 */
} rt_jitter_stats;

size_t rt_jitter_size(void);
/* RT_BAD_ARGUMENT for a configuration out of range; nothing is changed then. */
int rt_jitter_init(rt_jitter *jitter, const rt_jitter_config *config);
void rt_jitter_reset(rt_jitter *jitter); /* as after init: forgets all it learnt */

/* A new stream or call on the same link: what was learnt of the link stays, base, sequence and playhead line start again. */
void rt_jitter_rebase(rt_jitter *jitter) RT_NONBLOCKING;
/* One packet, in the order of arrival. Returns placed->verdict. */
int rt_jitter_arrived(rt_jitter *jitter, const rt_jitter_packet *packet, rt_jitter_placed *placed) RT_NONBLOCKING;
/* One hop of 10 ms. playhead: next sample to play; at_hand: samples that are there from the playhead on without a hole; hole: samples
 * missing at the playhead before the next that is there (0 when at_hand is not, or nothing is); speech: 0 in a pause. Begin with the
 * playhead at rt_jitter_start. Returns decision->action. */
int rt_jitter_decide(rt_jitter *jitter, int64_t now_us, int64_t playhead, int64_t at_hand, int64_t hole, int speech,
                     rt_jitter_decision *decision) RT_NONBLOCKING;
/* Where the sound after the last (re)start begins. */
int64_t rt_jitter_start(const rt_jitter *jitter);
double rt_jitter_target_ms(const rt_jitter *jitter); /* the delay aimed at */
void rt_jitter_read_stats(const rt_jitter *jitter, rt_jitter_stats *stats);
/* cdef end */

#include "delays.h"

struct rt_jitter {
    rt_jitter_config config;

    rt_delays delays; /* what the link taught: survives a rebase */

    /* this base */
    int has_base, has_newest;
    uint32_t ssrc, newest_timestamp;
    int64_t newest_position; /* of newest_timestamp */
    int64_t newest_end;      /* behind the newest sound */
    int64_t start;
    int64_t last_arrival;
    uint16_t newest_sequence;
    uint64_t seen; /* bit n: newest_sequence - n came */
    int64_t quiet_from, quiet_until; /* the last leap of time stamps without a leap of sequence numbers */
    int newest_is_noise;
    int64_t newest_frames;

    /* playout */
    int64_t playhead;
    int starting, returning;
    int64_t last_late, owed; /* samples waited for while the playhead stood */
    double slowed, concealed; /* us, sums that forget over a minute */

    rt_jitter_stats stats;
};

#endif
