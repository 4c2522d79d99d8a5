#include "stamps.h"

#include <math.h>
#include <string.h>

#define BELIEVED_S 5.0
#define SETTLE_S 1.0
#define LEAST_STEP_S 0.0035
#define MOST_STEP_S 0.25
#define BANDWIDTH_HZ 0.2
#define FAST_HZ 1.0
#define WANDER_S 0.01 /* by which a sound server's estimate moves in seconds, unseen by the deviation (PulseAudio: 8 ms) */
#define GIVE_UP 50 /* blocks of disagreement: take the newest stamp as it is */

void rt_stamps_init(rt_stamps *s, uint32_t rate_hz, int may_be_surplus)
{
    memset(s, 0, sizeof *s);
    s->rate = rate_hz;
    s->may_be_surplus = may_be_surplus;
    s->per_frame = 1.0 / rate_hz;
}

static void anchor(rt_stamps *s, double stamp)
{
    s->time = stamp;
    s->last = 0.0;
    s->agreeing = s->disagreeing = 0;
}

/* The stamp to go by: the device's, or the stream clock once the device's are nonsense for good. */
static int believed(rt_stamps *s, double *stamp, double now)
{
    if (fabs(*stamp - now) < BELIEVED_S) { /* false for NaN */
        s->bad_running = 0;
        return 1;
    }
    s->stats.strange++;
    if (s->bad_running < 8 && ++s->bad_running < 8)
        return 0;
    s->stats.substituted++;
    *stamp = now;
    return now == now;
}

static double threshold(const rt_stamps *s)
{
    double step = fmax(fmax(LEAST_STEP_S, 6.0 * s->deviation), 1.5 * s->wander);
    return fmin(step, MOST_STEP_S);
}

/* Moves the line over `frames`, bent towards the stamp by `error`. */
static void advance(rt_stamps *s, double error, uint32_t frames, double bandwidth_hz)
{
    double omega = fmin(2.0 * 3.14159265358979 * bandwidth_hz * frames / s->rate, 0.5);
    s->time += frames * s->per_frame + 1.41421356 * omega * error;
    s->per_frame += omega * omega * error / frames;
    double most = 1.002 / s->rate, least = 0.998 / s->rate;
    s->per_frame = s->per_frame > most ? most : s->per_frame < least ? least : s->per_frame;
}

static void track(rt_stamps *s, double error, double offset, uint32_t frames)
{
    double weight = fmin(frames / s->rate, 0.1);
    s->deviation += weight * (fabs(error) - s->deviation);
    if (fabs(offset - s->offset) < 0.002)
        s->offset += weight * (offset - s->offset);
    s->last += 0.2 * (error - s->last);
}

/* The step has stayed. Says what of it is missing or surplus sound. */
static int64_t conclude(rt_stamps *s)
{
    double step = s->candidate - s->before, clock = s->candidate_offset - s->offset;
    s->time += s->candidate;
    anchor(s, s->time);
    s->anchor_time = s->time; /* the rate is measured anew: it must not see the step */
    s->anchor_frames = s->frames;
    if (fabs(clock) > 0.5 * LEAST_STEP_S && fabs(step - clock) < 0.5 * threshold(s)) {
        s->offset = s->candidate_offset;
        s->stats.clock_steps++;
        return 0;
    }
    if (step < 0.0 && !s->may_be_surplus) {
        s->wander = fmax(s->wander, -step);
        return 0;
    }
    int64_t frames = (int64_t)lrint(step * s->rate);
    s->stats.gaps++;
    s->stats.gap_frames += frames;
    return frames;
}

static int64_t weigh(rt_stamps *s, double error, double stamp, double offset, double block_s)
{
    double limit = threshold(s);
    if (s->agreeing > 0 && fabs(error - s->before) < 0.5 * limit) { /* it came back: an outlier */
        s->stats.strange += s->agreeing;
        s->agreeing = s->disagreeing = 0;
        return 0;
    }
    if (s->agreeing > 0 && fabs(error - s->candidate) < 0.5 * limit) {
        s->agreeing++;
        s->agreed_s += block_s;
        s->candidate += (error - s->candidate) / s->agreeing;
        s->candidate_offset = fmax(s->candidate_offset, offset); /* preempted between the clocks: less */
        return s->agreeing >= RT_STAMPS_AGREE && s->agreed_s >= 0.02 ? conclude(s) : 0;
    }
    if (s->agreeing == 0)
        s->before = s->last;
    s->agreeing = 1;
    s->agreed_s = block_s;
    s->candidate = error;
    s->candidate_offset = offset;
    if (++s->disagreeing > GIVE_UP)
        anchor(s, stamp);
    return 0;
}

static void settle(rt_stamps *s, double error, double stamp, double offset, uint32_t frames)
{
    if (s->frames == 0.0 || fabs(error) > LEAST_STEP_S) {
        anchor(s, stamp);
        error = 0.0;
    }
    s->offset = s->frames == 0.0 ? offset : fmax(s->offset, offset);
    track(s, error, offset, frames);
    advance(s, error, frames, FAST_HZ);
    if (s->frames < SETTLE_S * s->rate)
        return;
    s->settled = 1;
    s->per_frame = 1.0 / s->rate; /* the first second's stamps are no measure of a rate */
    s->anchor_time = s->time;
    s->anchor_frames = s->frames + frames;
}

static void measure(rt_stamps *s)
{
    double due = (s->frames - s->anchor_frames) / s->rate, took = s->time - s->anchor_time;
    s->stats.time = s->time;
    s->stats.latency = s->latency;
    s->stats.deviation = s->deviation;
    if (!s->settled || due < 1.0)
        return;
    double error = 1e6 * (3.0 * s->deviation + s->wander + WANDER_S) / due;
    if (s->stats.ppm_error != 0.0 && error > s->stats.ppm_error)
        return; /* known better from before the last gap */
    s->stats.ppm = 1e6 * (due / took - 1.0);
    s->stats.ppm_error = error;
}

int64_t rt_stamps_process(rt_stamps *s, double stamp, double now, double monotonic, uint32_t frames) RT_NONBLOCKING
{
    int64_t gap = 0;
    double block_s = frames / s->rate, offset = now - monotonic;
    if (frames == 0)
        return 0;
    if (!believed(s, &stamp, now)) {
        s->time += frames * s->per_frame;
    } else {
        double error = stamp - s->time;
        s->latency += (s->frames == 0.0 ? 1.0 : fmin(block_s, 0.1)) * (stamp - now - s->latency);
        if (!s->settled) {
            settle(s, error, stamp, offset, frames);
        } else if (s->agreeing > 0 || fabs(error - s->last) >= threshold(s)) {
            gap = weigh(s, error, stamp, offset, block_s);
            s->time += frames * s->per_frame;
        } else {
            track(s, error, offset, frames);
            advance(s, error, frames, BANDWIDTH_HZ);
        }
    }
    s->frames += frames;
    measure(s);
    return gap;
}

double rt_stamps_monotonic(const rt_stamps *s) RT_NONBLOCKING { return s->settled ? s->time - s->offset : 0.0; }
