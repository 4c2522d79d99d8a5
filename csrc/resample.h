/* resample.h - one mono float or int16 stream from one sample rate to another, for live sound and for files.
 *
 * A linear-phase polyphase FIR whose Kaiser-windowed taps are computed in init. Any whole rates from 8000 to 192000
 * Hz. In parts of the lower of the two Nyquist frequencies, and in sample periods of the lower rate:
 *
 *     quality          flat within 0.1 dB to    stop band from on    down by    delay: always exactly
 *     RT_RESAMPLE_LIVE 0.90                     1.10                  80 dB     24 periods
 *     RT_RESAMPLE_FILE 0.95                     1.05                 115 dB     80 periods
 *
 * so that live is 1.0 ms between 48 (or 44.1) and 24 kHz, 1.5 ms between 16 and 24, 3.0 ms between 8 and 24. Equal
 * rates are a copy without delay, unless the stream is tunable.
 *
 * The rates' ratio is reduced to L / M. When the table of all L phases is small (L at most 320 and at most 160 kB)
 * every phase is exact; otherwise, and when the stream is tunable, up to 128 phases per input sample are kept and what
 * lies between is interpolated (live: the two nearest, file: a cubic through four). Positions are whole numbers either
 * way, so the stream never drifts. After C input samples, however they were cut into calls, exactly ceil(C * L / M)
 * have been written, and each of them is the same bit for bit.
 *
 * A tunable stream follows a clock: rt_resample_tune(ppm) says that the input really runs at rate_in * (1 + ppm / 1e6),
 * to the nearest thousandth of a ppm. The next output already lies that much further on from the last, so the sound
 * bends without a step, and the count is ceil(C * L / (M * (1 + ppm / 1e6))) exactly: positions are still whole numbers.
 *
 * Memory: rt_resample_size() bytes brought by the caller, never more than 192 kB (1.9 kB for 48 to 24 kHz, 32 kB for
 * 44.1 to 24 live). One flat struct without pointers: memcpy copies a running stream. One stream, one thread at a
 * time. Work: per output sample one dot product of at most 1152 taps live, 3840 for files (48 and 160 when the rate goes
 * up; 96 and 320 for 48 to 24 kHz), two or four when phases are interpolated; per 256 input samples one move of the
 * history. NaN counts as 0, samples beyond +-32768 are clamped there and magnitudes below 1e-15 count as 0, so a broken
 * block is forgotten after the length of the filter and no subnormal number ever arises. in and out must not overlap.
 */
#ifndef RT_RESAMPLE_H
#define RT_RESAMPLE_H

#include "rt.h"

/* cdef begin */
typedef struct rt_resample rt_resample;

enum {
    RT_RESAMPLE_LIVE = 0, /* the short filter */
    RT_RESAMPLE_FILE = 1  /* the long one */
};

typedef struct rt_resample_config {
    uint32_t rate_in, rate_out; /* Hz, 8000 .. 192000 */
    uint32_t quality;           /* RT_RESAMPLE_LIVE or RT_RESAMPLE_FILE */
    uint32_t tunable;           /* 1: rt_resample_tune may be called */
} rt_resample_config;

/* Bytes of memory for this configuration, 0 when it is refused. Bring them 64-byte aligned. */
size_t rt_resample_size_for(const rt_resample_config *config);

/* Computes the taps (some ms of work: not for an audio thread). RT_OK, or RT_BAD_ARGUMENT and nothing written. */
int rt_resample_init_for(rt_resample *r, const rt_resample_config *config);

/* The same two for live sound that is not tunable. */
size_t rt_resample_size(uint32_t rate_in, uint32_t rate_out);
int rt_resample_init(rt_resample *r, uint32_t rate_in, uint32_t rate_out);

/* As after init: an empty past, position 0. Keeps the taps and the tuning. */
void rt_resample_reset(rt_resample *r) RT_NONBLOCKING;

/* The input's clock is `ppm` fast, -500 .. 500, from the next output on. By the thread that processes. RT_OK, or
 * RT_BAD_ARGUMENT (outside, NaN, or not tunable) and nothing changed. */
int rt_resample_tune(rt_resample *r, double ppm) RT_NONBLOCKING;

/* Takes all `frames` samples and returns how many it wrote. out_capacity should be rt_resample_out(r, frames) or
 * more; samples that find no room are lost, the position stays right. */
uint32_t rt_resample_process(rt_resample *r, const float *in, uint32_t frames, float *out,
                             uint32_t out_capacity) RT_NONBLOCKING;

/* The same in int16, rounded and clamped as rt_pcm_from_float does. The two may alternate on one stream. */
uint32_t rt_resample_process_int16(rt_resample *r, const int16_t *in, uint32_t frames, int16_t *out,
                                   uint32_t out_capacity) RT_NONBLOCKING;

/* What the next process() of `frames` samples will write, exactly (while it is not tuned in between). */
uint32_t rt_resample_out(const rt_resample *r, uint32_t frames) RT_NONBLOCKING;

/* Ends the stream: writes the tail still in the filter, rt_resample_tail() samples, and resets. With H the delay in
 * periods the whole stream is then ceil((C * L + H * max(L, M)) / M) samples (untuned), none of the input's end
 * missing. What finds no room is lost. */
uint32_t rt_resample_flush(rt_resample *r, float *out, uint32_t out_capacity) RT_NONBLOCKING;
uint32_t rt_resample_flush_int16(rt_resample *r, int16_t *out, uint32_t out_capacity) RT_NONBLOCKING;

/* What flush() would write now. */
uint32_t rt_resample_tail(const rt_resample *r) RT_NONBLOCKING;

/* Group delay in seconds of the input's clock: 24 or 80 periods of the lower rate, 0 for a plain copy. */
double rt_resample_latency(const rt_resample *r) RT_NONBLOCKING;
/* cdef end */

enum {
    RT_RESAMPLE_LANES = 8,   /* taps are padded to whole groups of this many; one sum per lane */
    RT_RESAMPLE_BLOCK = 256  /* input samples taken into the history at a time */
};

struct rt_resample {
    uint64_t turn;         /* units in one input sample: up, or up * 1e9 when tunable. All positions count in units */
    uint64_t advance;      /* from one output to the next */
    uint64_t phase;        /* of the next output: 0 .. turn-1 */
    uint32_t wait;         /* input samples still to come before the newest one the next output needs */
    uint32_t rate_in, rate_out;
    uint32_t up, down;     /* L and M: rate_out / rate_in = up / down, reduced */
    uint32_t half;         /* periods of the lower rate on either side of the centre: the delay */
    uint32_t points;       /* rows that make one output: 1 when exact, 2 linear, 4 cubic */
    uint32_t rows;         /* phases per input sample, and `points` - 1 more to interpolate with */
    uint32_t taps;         /* per row, padded; oldest sample first; 0: a plain copy */
    uint32_t tunable;
    uint32_t table_offset; /* bytes from the start of the struct to float [rows + points - 1][taps] */
    uint32_t past_offset;  /* and to float [taps - 1 + RT_RESAMPLE_BLOCK]: the past, then the block */
};

#endif
