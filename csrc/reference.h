/* reference.h - the echo reference: what the loudspeaker plays, hop by hop beside what the microphone hears.
 *
 * Two sources. Of the microphone's own device (`own_clock` 0): another channel of the same blocks, as arrays with a loopback channel have;
 * it passes a filter like the microphone's and lies beside it to the sample. Of a second device with a clock of its own (`own_clock` 1),
 * such as a sink's monitor: its thread writes, at most RT_REFERENCE_MS wait in a ring (what finds no room is lost and counted), and the capture
 * thread reads one hop at RT_RATE for each of its own, resampled by the drift between the two clocks.
 *
 * Both threads may run in bursts, and blocks are coarse, so the drift is measured by time: either side tells when the sound at its end was
 * captured (seconds of one clock; device.h has them filtered from the devices' stamps; 0: not known), and how old the reference is beside the
 * microphone is held where it was by a second-order loop, under 500 ppm. Without times nothing is bent. What moves the reference at once is a
 * jump, and counted: the start, after which what waits beyond a margin of 10 ms is left out; the ring running dry (starved: silence until twice as
 * much waits as before, and the margin doubles, up to 100 ms); and finding it 10 ms or more out of its place, as after a piece that a device
 * lost: then as much is left out, or filled in with silence. Who knows of a gap says so (rt_reference_lost, rt_reference_put_in), and it moves at
 * once by as much.
 *
 * Mono float in [-1, 1], NaN as 0. Writer: rt_reference_write, on one thread; reader: rt_reference_read, on the capture thread, which with
 * `own_clock` 0 does both, and writes before it reads. Work: by the samples moved. Memory: rt_reference_size() bytes brought by the caller,
 * 64-byte aligned; flat, memcpy copies it while neither side runs.
 */
#ifndef RT_REFERENCE_H
#define RT_REFERENCE_H

#include "rt.h"

/* cdef begin */
typedef struct rt_reference rt_reference;

enum { RT_REFERENCE_MS = 1000 };

typedef struct rt_reference_config {
    int own_clock;
    uint32_t rate_hz;  /* 8000..192000 */
    uint32_t channels; /* 1..32, interleaved */
    uint32_t channel;  /* the one that is taken */
    int sample;        /* 0 int16, 1 float: enum rt_sample */
} rt_reference_config;

typedef struct rt_reference_stats {
    uint64_t hops;            /* read */
    uint64_t starved;         /* times the ring ran dry */
    uint64_t starved_samples; /* at RT_RATE, silence in place of what was not there, the wait for a start not counted */
    uint64_t jumps;           /* moves of the delay, starts after a starvation included */
    uint64_t left_out;        /* device frames passed over in jumps */
    uint64_t put_in;          /* at RT_RATE, silence filled in by jumps */
    uint64_t lost;            /* device frames that found no room */
    double ppm;               /* the second clock against the microphone's, positive: fast */
    double delay_ms;          /* that sound waits here, filter included, at the last hop */
    double age_ms;            /* how much later than the reference the microphone's sound beside it was captured; 0: not known */
    float level_peak, level_rms; /* of the last hop */
    int flowing, unused;
} rt_reference_stats;

size_t rt_reference_size(const rt_reference_config *config); /* 0: refused */
int rt_reference_init(rt_reference *r, const rt_reference_config *config);
void rt_reference_reset(rt_reference *r); /* only while neither side runs */

/* The writer's thread. One block of interleaved frames; NULL is silence. `end_s`: when the frame after it is captured. */
void rt_reference_write(rt_reference *r, const void *in, uint32_t frames, double end_s) RT_NONBLOCKING;
/* Capture thread. RT_HOP samples, silence where there are none. `begin_s`: when the microphone's first beside them was captured. */
void rt_reference_read(rt_reference *r, float *hop, double begin_s) RT_NONBLOCKING;
/* Capture thread: the microphone's device has lost so many samples at RT_RATE (negative: given too many). */
void rt_reference_lost(rt_reference *r, int64_t samples) RT_NONBLOCKING;
/* The writer's thread: what was written is heard so many samples at RT_RATE later from here on (negative: sooner). */
void rt_reference_put_in(rt_reference *r, int64_t samples) RT_NONBLOCKING;
/* Seconds of the filter alone. */
double rt_reference_latency(const rt_reference *r);
/* Any thread. One snapshot; RT_FULL as in board.h. */
int rt_reference_read_stats(const rt_reference *r, rt_reference_stats *stats);
/* cdef end */

#include "board.h"

enum { RT_REFERENCE_FIFO = 2048 };

/* Of the writer: the frames it put into the ring, and when the next one is captured. */
typedef struct rt_reference_end {
    uint64_t written;
    double time;
    int64_t put_in; /* samples at RT_RATE, all gaps together */
} rt_reference_end;

struct rt_reference {
    rt_reference_config config;
    size_t ring_offset, resample_offset;
    float given[480];              /* of the reader */
    float fifo[RT_REFERENCE_FIFO]; /* at RT_RATE */
    uint32_t fifo_count, padding;  /* samples at RT_RATE: there, and of silence still to fill in */
    int started;                   /* has flowed once */
    uint32_t prefill, margin;      /* device frames */
    uint32_t least, window_hops, windows, timed_hops, away_hops;
    uint64_t taken;                /* device frames read from the ring */
    double age_sum, away_sum, age; /* s: of the window, of hops out of place; and to be kept */
    double drift;                  /* the loop's integral, in parts of one */
    int placed;                    /* `age` is known */
    int64_t put_in;                /* gaps of the writer that have been followed */
    int fresh;                     /* has just begun to flow */
    rt_reference_stats stats;
    rt_board board;
    _Alignas(64) float mono[480];  /* from here on of the writer */
    rt_reference_end end;
    rt_board end_board;
    _Atomic uint64_t lost;
};

#endif
