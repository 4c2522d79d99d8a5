/* The loop thread's side of playout.h: memory, pushes, ends, rows, and what others read. */
#include "playout_parts.h"

#include <math.h>

#define SOURCE_RATE(format) ((format) == RT_PCM16 ? 24000u : 8000u)
#define READ_TRIES 1000

/* ---- memory ---- */

static int valid_pace(const rt_playout_config *config)
{
    uint64_t most_ms = config->capacity_frames * 1000ull / SOURCE_RATE(config->format);
    return config->max_delay_ms >= 200 && config->max_delay_ms <= 10000 && config->max_delay_ms <= most_ms &&
           config->patience >= 0.25f && config->patience <= 4.0f;
}

static int valid(const rt_playout_config *config)
{
    return config->format >= RT_PCM16 && config->format <= RT_ALAW && config->capacity_frames >= RT_HOP &&
           config->capacity_frames <= 24000u * 600u && config->fade_ms >= 1 && config->fade_ms <= 200 && config->start_ms <= 2000 &&
           config->refill_ms <= 2000 && config->policy >= RT_PLAYOUT_FIXED && config->policy <= RT_PLAYOUT_PACED &&
           (config->policy != RT_PLAYOUT_PACED || valid_pace(config));
}

static uint32_t frame_bytes(const rt_playout_config *config) { return config->format == RT_PCM16 ? 2 : 1; }

/* PCM needs none, but to follow another clock. */
static int resamples(const rt_playout_config *config) { return config->format != RT_PCM16 || config->policy == RT_PLAYOUT_PACED; }

static rt_resample_config resampling(const rt_playout_config *config)
{
    return (rt_resample_config){SOURCE_RATE(config->format), RT_RATE, RT_RESAMPLE_LIVE,
                                config->policy == RT_PLAYOUT_PACED};
}

static size_t resample_size(const rt_playout_config *config)
{
    rt_resample_config resample = resampling(config);
    return resamples(config) ? RT_ALIGN64(rt_resample_size_for(&resample)) : 0;
}

static uint32_t span_size(const rt_playout_config *config)
{
    return (uint32_t)(config->policy == RT_PLAYOUT_PACED ? sizeof(rt_paced_packet) : sizeof(rt_playout_span));
}

size_t rt_playout_size(const rt_playout_config *config)
{
    if (!valid(config))
        return 0;
    return RT_ALIGN64(sizeof(rt_playout)) + resample_size(config) + rt_paced_size(config, frame_bytes(config)) +
           rt_ring_size(span_size(config), RT_PLAYOUT_SPANS) + RT_ALIGN64(config->capacity_frames * frame_bytes(config));
}

int rt_playout_init(rt_playout *p, const rt_playout_config *config)
{
    if (!valid(config))
        return RT_BAD_ARGUMENT;
    memset(p, 0, sizeof *p);
    p->config = *config;
    p->frame_bytes = frame_bytes(config);
    p->rate_hz = SOURCE_RATE(config->format);
    p->hop_frames = p->rate_hz / 100;
    p->capacity = config->capacity_frames;
    p->fade_frames = config->fade_ms * (RT_RATE / 1000);
    p->rate = 1.0f;
    rt_stretch_init(&p->stretch, p->rate_hz);
    p->resample_offset = RT_ALIGN64(sizeof *p);
    p->paced_offset = p->resample_offset + resample_size(config);
    p->spans_offset = p->paced_offset + rt_paced_size(config, frame_bytes(config));
    p->data_offset = p->spans_offset + rt_ring_size(span_size(config), RT_PLAYOUT_SPANS);
    if (resamples(config)) {
        rt_resample_config resample = resampling(config);
        if (rt_resample_init_for(resampler(p), &resample) != RT_OK)
            return RT_BAD_ARGUMENT;
        rt_lag_init(&p->lag, (uint32_t)ceil(rt_resample_latency(resampler(p)) * p->rate_hz - 1e-6));
    }
    if (config->policy == RT_PLAYOUT_PACED && rt_paced_init(p) != RT_OK)
        return RT_BAD_ARGUMENT;
    int status = rt_ring_init(spans(p), span_size(config), RT_PLAYOUT_SPANS);
    memset(data(p), 0, (size_t)p->capacity * p->frame_bytes);
    return status;
}

void rt_playout_reset(rt_playout *p)
{
    rt_playout_config config = p->config;
    rt_playout_init(p, &config);
}

/* ---- loop thread ---- */

int rt_playout_open(rt_playout *p, uint32_t generation)
{
    if (generation <= get32(&p->opened))
        return RT_BAD_ARGUMENT;
    set32(&p->opened, generation);
    return RT_OK;
}

uint32_t rt_playout_newest(const rt_playout *p) RT_NONBLOCKING { return get32(&p->opened); }

static rt_playout_row *find_row(rt_playout *p, uint32_t item)
{
    for (int i = 0; i < RT_PLAYOUT_ITEMS; i++)
        if (get32(&p->rows[i].item) == item)
            return &p->rows[i];
    return NULL;
}

static rt_playout_row *new_row(rt_playout *p, uint32_t item, uint32_t generation)
{
    rt_playout_row *row = find_row(p, 0);
    if (row == NULL)
        return NULL;
    row->base_played = get64(&row->played);
    row->base_faded = get64(&row->faded);
    row->base_discarded = get64(&row->discarded);
    row->base_ends = get64(&row->ends);
    set64(&row->queued, 0);
    set32(&row->start, 0);
    set32(&row->complete, 0);
    set32(&row->generation, generation);
    set32(&row->item, item);
    return row;
}

static void copy_in(rt_playout *p, uint64_t position, const unsigned char *from, uint32_t frames)
{
    uint32_t at = (uint32_t)(position % p->capacity), first = least(frames, (uint32_t)(p->capacity - at));
    memcpy(data(p) + (size_t)at * p->frame_bytes, from, (size_t)first * p->frame_bytes);
    memcpy(data(p), from + (size_t)first * p->frame_bytes, (size_t)(frames - first) * p->frame_bytes);
}

/* What the estimate of this sender's arrivals asks for, before the span can be seen. */
static void note_arrival(rt_playout *p, rt_playout_row *row, uint32_t generation, uint32_t frames, uint64_t now)
{
    uint32_t times = RT_RATE / p->rate_hz;
    if (p->config.policy != RT_PLAYOUT_BURST)
        return;
    rt_arrival_note(&p->arrival, generation, frames * times, now);
    set32(&p->refill, rt_arrival_refill(&p->arrival) / times);
    uint32_t wait = rt_arrival_start(&p->arrival) / times;
    if (get64(&row->queued) > 0)
        return;
    set32(&row->start, wait > 0 ? frames + wait : 0);
    set64(&row->start_at, now + (uint64_t)wait * times);
}

static int refused(const rt_playout *p, const rt_playout_row *row, uint32_t item, uint32_t generation)
{
    return item == 0 || generation == 0 || generation > get32(&p->opened) ||
           (row != NULL && (get32(&row->generation) != generation || get32(&row->complete)));
}

int64_t rt_playout_push(rt_playout *p, uint32_t item, uint32_t generation, const void *samples, uint32_t frames)
{
    rt_playout_row *row = item ? find_row(p, item) : NULL;
    if (p->config.policy == RT_PLAYOUT_PACED || refused(p, row, item, generation))
        return RT_BAD_ARGUMENT;
    uint32_t taken = (uint32_t)(p->capacity - rt_playout_waiting(p));
    taken = least(taken, frames);
    /* one span is kept back, so that the end of an item finds room behind its samples */
    if (frames > 0 && (taken == 0 || rt_ring_writable(spans(p)) < 2))
        return RT_FULL;
    if (row == NULL && (row = new_row(p, item, generation)) == NULL)
        return RT_FULL;
    if (taken == 0)
        return 0;
    uint64_t pushed = get64(&p->pushed), now = get64(&p->output);
    note_arrival(p, row, generation, taken, now);
    copy_in(p, pushed, samples, taken);
    set64(&p->pushed, pushed + taken);
    add64(&row->queued, taken);
    rt_playout_span span = {(uint32_t)(row - p->rows), generation, taken, 0, now};
    rt_ring_write(spans(p), &span, 1);
    return taken;
}

int rt_playout_push_packet(rt_playout *p, uint32_t item, uint32_t generation, const rt_jitter_packet *packet, const void *samples,
                           uint32_t frames)
{
    rt_playout_row *row = item ? find_row(p, item) : NULL;
    int sound = packet->kind == RT_JITTER_SOUND;
    if (p->config.policy != RT_PLAYOUT_PACED || refused(p, row, item, generation) || packet->kind > RT_JITTER_EVENT ||
        (sound && (packet->frames != frames || frames == 0)))
        return RT_BAD_ARGUMENT;
    uint64_t pushed = get64(&p->pushed), room = p->capacity - (pushed - get64(&p->drained));
    /* one is kept back, for the end of an item */
    if ((sound && frames > room) || rt_ring_writable(spans(p)) < 2 || (row == NULL && (row = new_row(p, item, generation)) == NULL))
        return RT_FULL;
    rt_paced_packet span = {*packet, (uint32_t)(row - p->rows), generation, sound ? frames : 0, 0, 127};
    if (packet->kind == RT_JITTER_NOISE && frames > 0)
        span.level = *(const uint8_t *)samples & 0x7f;
    if (sound) {
        copy_in(p, pushed, samples, frames);
        set64(&p->pushed, pushed + frames);
        add64(&row->queued, frames);
    }
    rt_ring_write(spans(p), &span, 1);
    return RT_OK;
}

static void write_end(rt_playout *p, const rt_playout_row *row)
{
    uint32_t number = (uint32_t)(row - p->rows), generation = get32(&row->generation);
    rt_playout_span span = {number, generation, 0, 1, 0};
    rt_paced_packet packet = {.row = number, .generation = generation, .end = 1};
    rt_ring_write(spans(p), p->config.policy == RT_PLAYOUT_PACED ? (void *)&packet : (void *)&span, 1);
}

int rt_playout_complete(rt_playout *p, uint32_t item)
{
    rt_playout_row *row = item ? find_row(p, item) : NULL;
    if (row == NULL)
        return RT_BAD_ARGUMENT;
    if (get32(&row->complete))
        return RT_OK;
    if (rt_ring_writable(spans(p)) == 0)
        return RT_FULL;
    set32(&row->complete, 1);
    add64(&p->ends_pushed, 1);
    write_end(p, row);
    return RT_OK;
}

static void fill_item(const rt_playout_row *row, rt_playout_item *item)
{
    item->item = get32(&row->item);
    item->generation = get32(&row->generation);
    item->complete = (int)get32(&row->complete);
    item->queued = get64(&row->queued);
    item->played = get64(&row->played) - row->base_played;
    item->faded = get64(&row->faded) - row->base_faded;
    item->discarded = get64(&row->discarded) - row->base_discarded;
    item->ended = get64(&row->ends) != row->base_ends;
}

int rt_playout_retire(rt_playout *p, uint32_t item)
{
    rt_playout_row *row = item ? find_row(p, item) : NULL;
    rt_playout_item now;
    if (row == NULL)
        return RT_BAD_ARGUMENT;
    fill_item(row, &now);
    /* an item that sounded and has no end yet may be what the playback thread waits for */
    int open_ended = !now.ended && (now.complete || now.played + now.faded > 0);
    if (now.played + now.faded + now.discarded < now.queued || open_ended)
        return RT_FULL;
    set32(&row->item, 0);
    return RT_OK;
}

void rt_playout_interrupt(rt_playout *p, uint32_t generation)
{
    if (generation > get32(&p->host_latch))
        set32(&p->host_latch, generation);
}

uint64_t rt_playout_waiting(const rt_playout *p) { return get64(&p->pushed) - get64(&p->taken); }

/* ---- reading ---- */

/* Whether a read that began at `begun` saw one state of the playback thread. */
static int whole(const rt_playout *p, uint32_t begun) { return (begun & 1) == 0 && get32(&p->sequence) == begun; }

int rt_playout_read_item(const rt_playout *p, uint32_t item, rt_playout_item *out)
{
    const rt_playout_row *row = item ? find_row((rt_playout *)(uintptr_t)p, item) : NULL;
    if (row == NULL)
        return RT_BAD_ARGUMENT;
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t begun = get32(&p->sequence);
        fill_item(row, out);
        if (whole(p, begun))
            return RT_OK;
    }
    return RT_FULL;
}

static void fill_stats(const rt_playout *p, rt_playout_stats *stats)
{
    stats->state = (int)get32(&p->state);
    stats->generation = get32(&p->playing);
    stats->item = get32(&p->last_item);
    stats->output = get64(&p->output);
    stats->queued = get64(&p->pushed);
    stats->played = get64(&p->played);
    stats->faded = get64(&p->faded);
    stats->discarded = get64(&p->discarded);
    stats->underruns = get64(&p->underruns);
    stats->interruptions = get64(&p->interruptions);
    stats->stalled_samples = get64(&p->stalled);
    stats->concealed_samples = get64(&p->concealed);
    stats->inserted_samples_for_deceleration = get64(&p->inserted);
    stats->removed_samples_for_acceleration = get64(&p->removed);
    stats->jitter_buffer_delay = get64(&p->delay);
    stats->jitter_buffer_target_delay = get64(&p->target_delay);
    stats->jitter_buffer_emitted_count = get64(&p->emitted);
}

int rt_playout_read_stats(const rt_playout *p, rt_playout_stats *stats)
{
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t begun = get32(&p->sequence);
        fill_stats(p, stats);
        if (whole(p, begun))
            return RT_OK;
    }
    return RT_FULL;
}

int rt_playout_read_link(const rt_playout *p, rt_playout_link *link)
{
    if (p->config.policy != RT_PLAYOUT_PACED)
        return RT_BAD_ARGUMENT;
    return rt_board_read(&paced_of(p)->board, link, sizeof *link);
}

double rt_playout_latency(const rt_playout *p)
{
    return p->lag.delay * (double)RT_RATE / p->rate_hz + (p->config.policy == RT_PLAYOUT_PACED ? RT_CONCEAL_DELAY : 0);
}
