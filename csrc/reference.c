#include "reference.h"

#include <math.h>
#include <string.h>

#include "pcm.h"
#include "resample.h"
#include "ring.h"

enum { CHUNK = 480, WINDOW_HOPS = 200, AWAY_HOPS = 50, FAST_WINDOWS = 20 };

#define MARGIN_S 0.01
#define MOST_MARGIN_S 0.1
#define MOST_PREFILL_S 0.4
#define JUMP_S 0.01 /* further off than this the loop would bend for minutes */
#define FAST_S 4.0 /* the loop answers in twice this: at first, and later */
#define SLOW_S 30.0
#define MOST_DRIFT 450e-6

static void *part(const rt_reference *r, size_t offset) { return (unsigned char *)(uintptr_t)r + offset; }

static rt_resample_config filter(const rt_reference_config *config)
{
    rt_resample_config filter = {config->rate_hz, RT_RATE, RT_RESAMPLE_LIVE, config->own_clock != 0};
    return filter;
}

static int valid(const rt_reference_config *config)
{
    return config->rate_hz >= 8000 && config->rate_hz <= 192000 && config->channels >= 1 && config->channels <= 32 &&
           config->channel < config->channels && (config->sample == 0 || config->sample == 1);
}

static uint32_t capacity(const rt_reference_config *config) { return config->own_clock ? config->rate_hz / 1000 * RT_REFERENCE_MS : 0; }

size_t rt_reference_size(const rt_reference_config *config)
{
    if (!valid(config))
        return 0;
    rt_resample_config how = filter(config);
    size_t ring = capacity(config) ? rt_ring_size(sizeof(float), capacity(config)) : 0;
    return RT_ALIGN64(sizeof(rt_reference)) + RT_ALIGN64(ring) + RT_ALIGN64(rt_resample_size_for(&how));
}

int rt_reference_init(rt_reference *r, const rt_reference_config *config)
{
    if (rt_reference_size(config) == 0)
        return RT_BAD_ARGUMENT;
    memset(r, 0, sizeof *r);
    r->config = *config;
    r->ring_offset = RT_ALIGN64(sizeof *r);
    r->resample_offset = r->ring_offset + RT_ALIGN64(capacity(config) ? rt_ring_size(sizeof(float), capacity(config)) : 0);
    r->margin = (uint32_t)(MARGIN_S * config->rate_hz);
    r->prefill = 2 * r->margin;
    rt_resample_config how = filter(config);
    int status = rt_resample_init_for(part(r, r->resample_offset), &how);
    if (status == RT_OK && config->own_clock)
        status = rt_ring_init(part(r, r->ring_offset), sizeof(float), capacity(config));
    return status;
}

void rt_reference_reset(rt_reference *r)
{
    rt_reference_config config = r->config;
    rt_reference_init(r, &config);
}

double rt_reference_latency(const rt_reference *r) { return rt_resample_latency(part(r, r->resample_offset)); }

/* ---- the writer */

static void to_fifo(rt_reference *r, const float *samples, uint32_t count)
{
    r->fifo_count += rt_resample_process(part(r, r->resample_offset), samples, count, r->fifo + r->fifo_count,
                                         RT_REFERENCE_FIFO - r->fifo_count);
}

static void to_ring(rt_reference *r, const float *samples, uint32_t count)
{
    uint32_t written = rt_ring_write(part(r, r->ring_offset), samples, count);
    r->end.written += written;
    if (written < count) {
        uint64_t lost = atomic_load_explicit(&r->lost, memory_order_relaxed);
        atomic_store_explicit(&r->lost, lost + count - written, memory_order_release);
    }
}

void rt_reference_write(rt_reference *r, const void *in, uint32_t frames, double end_s) RT_NONBLOCKING
{
    size_t bytes = r->config.channels * (r->config.sample == 0 ? sizeof(int16_t) : sizeof(float));
    for (uint32_t first = 0; first < frames; first += CHUNK) {
        uint32_t n = frames - first < CHUNK ? frames - first : CHUNK;
        if (in != NULL)
            rt_pcm_pick((const unsigned char *)in + first * bytes, r->config.sample, r->config.channels, r->config.channel, r->mono, n);
        else
            memset(r->mono, 0, n * sizeof *r->mono);
        if (r->config.own_clock)
            to_ring(r, r->mono, n);
        else
            to_fifo(r, r->mono, n);
    }
    if (r->config.own_clock) {
        r->end.time = end_s;
        rt_board_publish(&r->end_board, &r->end, sizeof r->end);
    }
}

/* ---- the reader */

static void leave_out(rt_reference *r, uint32_t frames)
{
    while (frames > 0) {
        uint32_t n = rt_ring_read(part(r, r->ring_offset), r->given, frames < CHUNK ? frames : CHUNK);
        if (n == 0)
            return;
        r->taken += n;
        r->stats.left_out += n;
        frames -= n;
    }
}

static void open_window(rt_reference *r)
{
    r->least = UINT32_MAX;
    r->window_hops = r->timed_hops = r->away_hops = 0;
    r->age_sum = r->away_sum = 0.0;
}

static void starve(rt_reference *r)
{
    uint32_t most_margin = (uint32_t)(MOST_MARGIN_S * r->config.rate_hz), most = (uint32_t)(MOST_PREFILL_S * r->config.rate_hz);
    r->stats.starved++;
    r->stats.flowing = 0;
    r->margin = 2 * r->margin < most_margin ? 2 * r->margin : most_margin;
    r->prefill = 2 * r->prefill < most ? 2 * r->prefill : most;
}

/* Whether there is anything to read from now on. */
static int flows(rt_reference *r, uint32_t waiting)
{
    if (!r->stats.flowing && waiting >= r->prefill) {
        r->stats.flowing = 1;
        r->stats.jumps += (uint64_t)r->started;
        r->started = 1;
        r->placed = 0;
        r->windows = 0;
        r->fresh = 1;
        open_window(r);
    }
    return r->stats.flowing;
}

/* How much later than the next sample from here a sound of `begin_s` was captured. */
static double age_now(const rt_reference *r, const rt_reference_end *end, double begin_s)
{
    if (!(begin_s > 0.0) || !(end->time > 0.0))
        return 0.0;
    double waiting = (double)(end->written - r->taken) / r->config.rate_hz + ((double)r->fifo_count + r->padding) / RT_RATE;
    return begin_s - (end->time - waiting);
}

static void bend(rt_reference *r, double error_s)
{
    double slow = r->windows <= FAST_WINDOWS ? FAST_S : SLOW_S, window_s = WINDOW_HOPS * 0.01;
    r->drift += error_s * window_s / (4.0 * slow * slow);
    r->drift = fmin(fmax(r->drift, -MOST_DRIFT), MOST_DRIFT);
    double drift = fmin(fmax(r->drift + error_s / slow, -MOST_DRIFT), MOST_DRIFT);
    rt_resample_tune(part(r, r->resample_offset), 1e6 * drift);
    r->stats.ppm = 1e6 * r->drift;
}

/* Back to its place at once: too old means that some is left out. */
static void jump(rt_reference *r, double error_s)
{
    r->stats.jumps++;
    if (error_s > 0.0)
        leave_out(r, (uint32_t)(error_s * r->config.rate_hz));
    else
        r->padding += (uint32_t)(fmin(-error_s, 1.0) * RT_RATE);
}

/* A gap that a device is known to have had: it moves by as much now, before its age tells so. */
static void follow_gap(rt_reference *r, int64_t late)
{
    if (late == 0)
        return;
    jump(r, (double)late / RT_RATE);
    open_window(r);
}

/* The gaps of the writer's device, but for those of before the start. */
static void follow_writer(rt_reference *r, const rt_reference_end *end)
{
    if (!r->fresh)
        follow_gap(r, r->put_in - end->put_in);
    r->put_in = end->put_in;
    r->fresh = 0;
}

/* By what waits alone: more than the least that is needed, at first or for good. */
static int too_much(rt_reference *r)
{
    double surplus_s = ((double)r->least - r->margin) / r->config.rate_hz;
    if (surplus_s < (r->windows == 0 ? 0.25 : r->placed ? 10.0 : 1.0) * JUMP_S)
        return 0;
    jump(r, surplus_s);
    return 1;
}

/* Two seconds are over. */
static void close_window(rt_reference *r)
{
    int timed = r->timed_hops == WINDOW_HOPS, moved = too_much(r);
    double age = r->age_sum / WINDOW_HOPS;
    if (moved || !timed) {
        r->placed = 0;
    } else if (!r->placed) {
        r->placed = 1;
        r->age = age;
    } else {
        bend(r, age - r->age);
    }
    r->windows++;
    open_window(r);
}

/* Half a second out of its place: a piece was lost, or came twice. */
static int out_of_place(rt_reference *r, double age)
{
    if (!r->placed || age == 0.0 || fabs(age - r->age) < JUMP_S) {
        r->away_hops = 0;
        r->away_sum = 0.0;
        return 0;
    }
    r->away_sum += age - r->age;
    if (++r->away_hops == AWAY_HOPS) {
        jump(r, r->away_sum / AWAY_HOPS);
        open_window(r);
    }
    return 1;
}

static void refill(rt_reference *r, double begin_s)
{
    rt_ring *ring = part(r, r->ring_offset);
    rt_reference_end end = {0, 0.0, r->put_in};
    if (rt_board_read(&r->end_board, &end, sizeof end) != RT_OK)
        end = (rt_reference_end){0, 0.0, r->put_in};
    follow_writer(r, &end);
    double age = age_now(r, &end, begin_s);
    while (r->fifo_count + r->padding < RT_HOP) {
        uint64_t missing = (uint64_t)(RT_HOP - r->fifo_count - r->padding) * r->config.rate_hz;
        uint32_t wanted = (uint32_t)((missing + RT_RATE - 1) / RT_RATE), n = wanted < CHUNK ? wanted : CHUNK;
        n = rt_ring_read(ring, r->given, n);
        if (n == 0) {
            starve(r);
            return;
        }
        r->taken += n;
        to_fifo(r, r->given, n);
    }
    uint32_t waiting = rt_ring_readable(ring);
    r->least = waiting < r->least ? waiting : r->least;
    r->stats.age_ms = 1e3 * age;
    if (out_of_place(r, age))
        return;
    r->timed_hops += age != 0.0;
    r->age_sum += age;
    if (++r->window_hops == WINDOW_HOPS)
        close_window(r);
}

/* Silence that a jump filled in, then what is there, then silence for what is not. */
static void take(rt_reference *r, float *hop)
{
    uint32_t silence = r->padding < RT_HOP ? r->padding : RT_HOP, room = RT_HOP - silence;
    uint32_t n = r->fifo_count < room ? r->fifo_count : room;
    memset(hop, 0, RT_HOP * sizeof *hop);
    memcpy(hop + silence, r->fifo, n * sizeof *hop);
    r->fifo_count -= n;
    memmove(r->fifo, r->fifo + n, r->fifo_count * sizeof *r->fifo);
    r->padding -= silence;
    r->stats.put_in += silence;
    if (r->started)
        r->stats.starved_samples += room - n;
}

static void report(rt_reference *r, const float *hop)
{
    rt_pcm_level level = rt_pcm_measure(hop, RT_HOP);
    double waiting = r->config.own_clock ? (double)rt_ring_readable(part(r, r->ring_offset)) / r->config.rate_hz : 0.0;
    r->stats.hops++;
    r->stats.level_peak = level.peak;
    r->stats.level_rms = sqrtf(level.mean_square);
    r->stats.delay_ms = 1e3 * (waiting + (double)r->fifo_count / RT_RATE + rt_reference_latency(r));
    r->stats.lost = atomic_load_explicit(&r->lost, memory_order_acquire);
    rt_board_publish(&r->board, &r->stats, sizeof r->stats);
}

void rt_reference_lost(rt_reference *r, int64_t samples) RT_NONBLOCKING
{
    if (r->config.own_clock && r->stats.flowing)
        follow_gap(r, samples);
}

void rt_reference_put_in(rt_reference *r, int64_t samples) RT_NONBLOCKING { r->end.put_in += samples; }

void rt_reference_read(rt_reference *r, float *hop, double begin_s) RT_NONBLOCKING
{
    if (!r->config.own_clock)
        r->started = r->stats.flowing = 1;
    else if (flows(r, rt_ring_readable(part(r, r->ring_offset))))
        refill(r, begin_s);
    take(r, hop);
    report(r, hop);
}

RT_BOARD_FITS(rt_reference_stats);

int rt_reference_read_stats(const rt_reference *r, rt_reference_stats *stats) { return rt_board_read(&r->board, stats, sizeof *stats); }
