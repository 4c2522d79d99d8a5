/* stamps.h - a sound device's time stamps against its count of frames: filtered time, true rate, and the places where sound is missing.
 *
 * Once per block of one direction goes in: the device's stamp of the block's first frame (ADC or DAC time), the stream clock's time of the
 * call, and the same moment on the monotonic clock; all in seconds. A second-order delay-locked loop (F. Adriaensen, "Using a DLL to
 * filter time", 2005) turns the stamps into a line; a stamp that leaves the line at once and stays away by the same amount for
 * RT_STAMPS_AGREE blocks and 20 ms is one gap: so much sound is missing (positive: the device skipped it or played silence) or surplus
 * (negative: it dropped what it was given). A step is believed from 3.5 ms on, or more on a device whose stamps are worse: six times their mean
 * deviation, or one and a half times the largest step that could not have been sound. Slow bends are followed without an event.
 *
 * Not believed: a stamp that is no number, or further than 5 s from the call. Eight of those running and the stream clock itself stands
 * in (`substituted`). A step that the stream clock made against the monotonic one is counted as such and is no gap. The first second
 * settles: no events.
 *
 * One struct, zeroed memory plus init; one thread. Constant work, no outside calls.
 */
#ifndef RT_STAMPS_H
#define RT_STAMPS_H

#include "rt.h"

/* cdef begin */
enum { RT_STAMPS_AGREE = 5 };

typedef struct rt_stamps_stats {
    double time;            /* s, filtered: stamp of the next frame */
    double latency;         /* s, filtered: stamp against call, positive for DAC, negative for ADC */
    double deviation;       /* s, mean distance of stamps from the line */
    double ppm, ppm_error;  /* device against clock, positive: fast; the error falls with time */
    int64_t gap_frames;     /* sum of all gaps with their sign */
    uint32_t gaps, clock_steps, strange, substituted;
} rt_stamps_stats;
/* cdef end */

typedef struct rt_stamps {
    double rate;
    int may_be_surplus; /* a negative step can be sound (playback); in capture it is the device's estimate */
    double time, per_frame, latency, deviation, wander;
    double last, offset; /* error, smoothed; stream clock less monotonic clock */
    double candidate, before, candidate_offset;
    uint32_t agreeing, disagreeing, bad_running;
    double agreed_s;
    double anchor_time, anchor_frames, frames;
    int settled;
    rt_stamps_stats stats;
} rt_stamps;

void rt_stamps_init(rt_stamps *stamps, uint32_t rate_hz, int may_be_surplus);
/* Returns the gap that this block makes certain, in frames at the device's rate; 0: none. */
int64_t rt_stamps_process(rt_stamps *stamps, double stamp, double now, double monotonic, uint32_t frames) RT_NONBLOCKING;
/* The filtered stamp of the next frame, on the monotonic clock; 0 until it has settled. */
double rt_stamps_monotonic(const rt_stamps *stamps) RT_NONBLOCKING;

#endif
