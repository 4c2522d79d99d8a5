/* The playback half of duplex.h: from the queue to the loudspeaker. */
#include "duplex.h"
#include "ftz.h"
#include "pcm.h"

#include <math.h>
#include <string.h>

static void post(rt_duplex *d, uint32_t kind, uint32_t value)
{
    rt_playback *p = &d->playback;
    rt_event event = {kind, value, p->stats.hops * RT_HOP};
    if (rt_ring_write(rt_duplex_part(d, p->events_offset), &event, 1) == 0)
        p->stats.lost_events++;
}

static void report(rt_duplex *d, const rt_playout *playout)
{
    static const uint32_t kinds[] = {RT_EVENT_SILENT, RT_EVENT_PLAYING, RT_EVENT_STARVED, RT_EVENT_FADING};
    rt_playback *p = &d->playback;
    int state = (int)atomic_load_explicit(&playout->state, memory_order_relaxed);
    uint32_t item = atomic_load_explicit(&playout->last_item, memory_order_relaxed);
    /* an item shorter than a hop begins and ends, or runs dry, unseen by the state alone */
    if (item != p->last_item && (state == RT_SILENT || state == RT_STARVED))
        post(d, RT_EVENT_PLAYING, item);
    if (state != p->last_state || (item != p->last_item && state == RT_PLAYING))
        post(d, kinds[state], item);
    else if (item != p->last_item && state == RT_SILENT)
        post(d, RT_EVENT_SILENT, item);
    p->last_state = state;
    p->last_item = item;
}

static float full_volume(const rt_duplex *d)
{
    uint32_t bits = atomic_load_explicit(&d->volume_bits, memory_order_acquire);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Whether the queue stands still: on hold, and faded out or silent anyway. While all of it is latched it moves on, since it can only be
 * discarded. */
static int paused(rt_duplex *d, rt_playout *playout, uint32_t latch)
{
    rt_playback *p = &d->playback;
    uint32_t host = atomic_load_explicit(&playout->host_latch, memory_order_acquire);
    int quiet = rt_volume_gain(rt_duplex_part(d, p->volume_offset)) == 0.0f || atomic_load_explicit(&p->playing, memory_order_relaxed) == 0;
    return atomic_load_explicit(&d->hold, memory_order_acquire) && quiet && (latch > host ? latch : host) < rt_playout_newest(playout);
}

/* Duck, volume and hold. `before`: generation of the hop before. `staged`: stages may sound while the queue is silent, so the gain must
 * not jump there. */
static int apply_volume(rt_duplex *d, uint32_t generation, uint32_t before, int staged)
{
    rt_volume *volume = rt_duplex_part(d, d->playback.volume_offset);
    uint32_t ducked = atomic_load_explicit(&d->capture.duck, memory_order_acquire);
    int on_hold = atomic_load_explicit(&d->hold, memory_order_acquire) != 0;
    float full = on_hold ? 0.0f : full_volume(d);
    /* In the hop that ends in silence the gain stands still, since an interruption's fade may still sound in it. */
    int still = !on_hold && generation == 0 && !(staged && before == 0);
    float to = still ? rt_volume_gain(volume) : generation != 0 && generation <= ducked ? full * d->config.duck_gain : full;
    if (still)
        rt_volume_jump(volume, to); /* a ramp under way ends */
    int limited = rt_volume_process(volume, d->playback.hop, to);
    if (generation == 0 && !staged)
        rt_volume_jump(volume, full);
    return limited;
}

/* When the sound at the end of the hop that was just made is heard. */
static double heard_at(rt_duplex *d)
{
    const rt_playback *p = &d->playback;
    double filter = rt_resample_latency(rt_duplex_part(d, p->resample_offset));
    double place = (double)(p->stats.hops * RT_HOP) / RT_RATE - (double)p->stats.frames / d->config.playback_rate_hz;
    return p->clock_s > 0.0 ? p->clock_s + place + filter : 0.0;
}

/* What leaves for the loudspeaker goes to the capture half as well, which hears it again. */
static void tell_capture(rt_duplex *d)
{
    const rt_capture *c = &d->capture;
    if (c->tap_offset != 0)
        rt_tap_write(rt_duplex_part(d, c->tap_offset), d->playback.hop);
    else if (c->own_reference && c->reference_offset != 0)
        rt_reference_write(rt_duplex_part(d, c->reference_offset), d->playback.hop, RT_HOP, heard_at(d));
}

static void make_hop(rt_duplex *d)
{
    rt_playback *p = &d->playback;
    rt_playout *playout = rt_duplex_playout(d);
    uint32_t latch = atomic_load_explicit(&d->capture.latch, memory_order_acquire);
    uint32_t before = atomic_load_explicit(&p->playing, memory_order_relaxed), generation = 0;
    if (paused(d, playout, latch))
        memset(p->hop, 0, sizeof p->hop);
    else
        generation = rt_playout_process(playout, latch, p->hop);
    atomic_store_explicit(&p->playing, generation, memory_order_release);
    report(d, playout);
    int staged = rt_stages_process(rt_duplex_part(d, p->stages_offset), p->hop);
    p->stats.limited_hops += (uint64_t)apply_volume(d, generation, before, staged);
    rt_pcm_level level = rt_pcm_measure(p->hop, RT_HOP);
    p->stats.hops++;
    p->stats.level_peak = level.peak;
    p->stats.level_rms = sqrtf(level.mean_square);
    p->stats.gain = rt_volume_gain(rt_duplex_part(d, p->volume_offset));
    tell_capture(d);
    if (p->fifo_first > 0) {
        memmove(p->fifo, p->fifo + p->fifo_first, p->fifo_count * sizeof *p->fifo);
        p->fifo_first = 0;
    }
    p->fifo_count += rt_resample_process(rt_duplex_part(d, p->resample_offset), p->hop, RT_HOP, p->fifo + p->fifo_count,
                                         RT_FIFO - p->fifo_count);
}

static void give(rt_duplex *d, void *out, uint32_t first, uint32_t frames)
{
    rt_playback *p = &d->playback;
    uint32_t channels = d->config.playback_channels;
    const float *mono = p->fifo + p->fifo_first;
    size_t at = (size_t)first * channels;
    if (d->config.sample == RT_FLOAT32) {
        rt_pcm_spread(mono, (float *)out + at, channels, frames);
    } else {
        rt_pcm_spread(mono, p->spread, channels, frames);
        rt_pcm_from_float(p->spread, (int16_t *)out + at, frames * channels);
    }
    p->fifo_first += frames;
    p->fifo_count -= frames;
}

int rt_playback_process(rt_duplex *d, void *out, uint32_t frames) RT_NONBLOCKING
{
    if (frames > d->config.max_block_frames)
        return RT_BAD_ARGUMENT;
    uint64_t mode = rt_ftz_begin();
    rt_playback *p = &d->playback;
    uint32_t most = RT_CHUNK / d->config.playback_channels;
    for (uint32_t first = 0; first < frames;) {
        uint32_t n = frames - first < most ? frames - first : most;
        while (p->fifo_count < n)
            make_hop(d);
        give(d, out, first, n);
        first += n;
    }
    p->stats.frames += frames;
    p->clock_s = 0.0;
    rt_board_publish(&p->board, &p->stats, sizeof p->stats);
    if (rt_ring_readable(rt_duplex_part(d, p->events_offset)) > 0)
        rt_wakeup_signal(&d->wakeup, &p->fired);
    rt_ftz_end(mode);
    return RT_OK;
}

void rt_playback_gap(rt_duplex *d, int64_t frames) RT_NONBLOCKING
{
    const rt_capture *c = &d->capture;
    int64_t samples = frames * RT_RATE / (int64_t)d->config.playback_rate_hz;
    post(d, RT_EVENT_PLAYBACK_GAP, (uint32_t)(int32_t)samples);
    if (!d->config.follow_gaps)
        return;
    if (c->tap_offset != 0)
        rt_tap_move(rt_duplex_part(d, c->tap_offset), samples);
    else if (c->own_reference && c->reference_offset != 0)
        rt_reference_put_in(rt_duplex_part(d, c->reference_offset), samples);
}

void rt_playback_clock(rt_duplex *d, double begin_s) RT_NONBLOCKING { d->playback.clock_s = begin_s; }
