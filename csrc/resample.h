/* resample.h - one mono float stream from one sample rate to another, for live sound.
 *
 * A linear-phase polyphase FIR whose Kaiser-windowed taps are computed in init. Any whole rates from 8000 to 192000
 * Hz. Flat within 0.1 dB up to 0.90 of the lower of the two Nyquist frequencies, at least 80 dB down from 1.10 of it
 * on. The delay is 24 sample periods of the lower rate, always: 1.0 ms between 48 (or 44.1) and 24 kHz, 1.5 ms
 * between 16 and 24, 3.0 ms between 8 and 24. Equal rates are a copy without delay.
 *
 * The rates' ratio is reduced to L / M. When the table of all L phases is small (L at most 320 and at most 160 kB)
 * every phase is exact; otherwise up to 128 phases per input sample are kept and the two nearest are interpolated.
 * Positions are whole numbers either way, so the stream never drifts. After C input samples, however they were cut
 * into calls, exactly ceil(C * L / M) have been written, and each of them is the same bit for bit.
 *
 * Memory: rt_resample_size() bytes brought by the caller, never more than 192 kB (1.9 kB for 48 to 24 kHz, 32 kB for
 * 44.1 to 24). One flat struct without pointers: memcpy copies a running stream. One stream, one thread at a time.
 * Work: per output sample one dot product of at most 1152 taps (48 when the rate goes up, 96 for 48 to 24 kHz), two
 * when phases are interpolated; per 256 input samples one move of the history. NaN counts as 0, samples beyond
 * +-32768 are clamped there and magnitudes below 1e-15 count as 0, so a broken block is forgotten after the length of
 * the filter and no subnormal number ever arises. in and out must not overlap.
 */
#ifndef RT_RESAMPLE_H
#define RT_RESAMPLE_H

#include "rt.h"

/* cdef begin */
typedef struct rt_resample rt_resample;

/* Bytes of memory for this pair, 0 when a rate is outside 8000 .. 192000 Hz. Bring them 64-byte aligned. */
size_t rt_resample_size(uint32_t rate_in, uint32_t rate_out);

/* Computes the taps (up to some ms of work: not for an audio thread). RT_OK, or RT_BAD_ARGUMENT and nothing written. */
int rt_resample_init(rt_resample *r, uint32_t rate_in, uint32_t rate_out);

/* As after init: an empty past, position 0. Keeps the taps. */
void rt_resample_reset(rt_resample *r) RT_NONBLOCKING;

/* Takes all `frames` samples and returns how many it wrote. out_capacity should be rt_resample_out(r, frames) or
 * more; samples that find no room are lost, the position stays right. */
uint32_t rt_resample_process(rt_resample *r, const float *in, uint32_t frames, float *out,
                             uint32_t out_capacity) RT_NONBLOCKING;

/* What the next process() of `frames` samples will write, exactly. */
uint32_t rt_resample_out(const rt_resample *r, uint32_t frames) RT_NONBLOCKING;

/* Ends the stream: writes the tail still in the filter, rt_resample_tail() samples, and resets. The whole stream is
 * then ceil((C * L + 24 * max(L, M)) / M) samples, none of the input's end missing. What finds no room is lost. */
uint32_t rt_resample_flush(rt_resample *r, float *out, uint32_t out_capacity) RT_NONBLOCKING;

/* What flush() would write now. */
uint32_t rt_resample_tail(const rt_resample *r) RT_NONBLOCKING;

/* Group delay in seconds: 24 / the lower rate, 0 for equal rates. */
double rt_resample_latency(const rt_resample *r) RT_NONBLOCKING;
/* cdef end */

enum {
    RT_RESAMPLE_LANES = 8,   /* taps are padded to whole groups of this many; one sum per lane */
    RT_RESAMPLE_BLOCK = 256  /* input samples taken into the history at a time */
};

struct rt_resample {
    uint32_t rate_in, rate_out;
    uint32_t up, down;     /* L and M: rate_out / rate_in = up / down, reduced */
    uint32_t rows;         /* phases per input sample: `up` when exact, else fewer and one more row to interpolate to */
    uint32_t taps;         /* per row, padded; oldest sample first */
    uint32_t exact;        /* 1: phase = row */
    uint32_t phase;        /* of the next output: 0 .. up-1 */
    uint32_t wait;         /* input samples still to come before the newest one the next output needs */
    uint32_t table_offset; /* bytes from the start of the struct to float [rows + !exact][taps] */
    uint32_t past_offset;  /* and to float [taps - 1 + RT_RESAMPLE_BLOCK]: the past, then the block */
    uint32_t reserved;
};

#endif
