/* The queue of the paced policy (paced.h): its memory, its packets and whose they are. The playback thread's, but for the memory. */
#include "playout_parts.h"

#include <math.h>

#define MOST_PACKETS_TAKEN 1024
#define LOUDEST_NOISE_DB 10 /* below full scale: so loud its peaks are there */

/* ---- memory ---- */

size_t rt_paced_size(const rt_playout_config *config, uint32_t frame_bytes)
{
    if (config->policy != RT_PLAYOUT_PACED)
        return 0;
    return RT_ALIGN64(sizeof(rt_paced) - sizeof(rt_packets)) + rt_packets_size(config->capacity_frames, frame_bytes);
}

int rt_paced_init(rt_playout *p)
{
    rt_paced *paced = paced_of(p);
    const rt_jitter_config jitter = {p->rate_hz, p->config.max_delay_ms, p->config.patience};
    memset(paced, 0, sizeof *paced);
    rt_conceal_init(&paced->conceal);
    rt_lag_init(&paced->lag, RT_CONCEAL_DELAY / (RT_RATE / p->rate_hz));
    rt_packets_init(&paced->packets, p->config.capacity_frames, p->frame_bytes);
    return rt_jitter_init(&paced->jitter, &jitter);
}

/* ---- the ledger ---- */

static void leave(rt_playout *p, int32_t row, uint32_t frames)
{
    rt_paced *paced = paced_of(p);
    rt_lag_push(&paced->lag, row, frames);
    rt_playout_drain_lag(p, &paced->lag, paced->lag.delay, rt_playout_count_played);
}

static void leave_skipped(rt_playout *p, int32_t row, uint32_t frames)
{
    rt_lag_skip(&paced_of(p)->lag, row, frames);
}

void rt_paced_note_sound(rt_playout *p, int32_t row, uint32_t frames, int skipped)
{
    rt_lag_run run;
    (skipped ? rt_lag_skip : rt_lag_push)(&p->lag, row, frames);
    while (rt_lag_pop(&p->lag, p->lag.delay, &run)) /* what leaves the resampler enters the concealment */
        (run.skipped ? leave_skipped : leave)(p, run.row, run.frames);
}

void rt_paced_note_made_up(rt_playout *p, uint32_t frames) { leave(p, RT_LAG_NONE, frames); }

void rt_paced_note_fade(rt_playout *p)
{
    rt_playout_drain_lag(p, &p->lag, 0, rt_playout_count_faded);
    rt_playout_drain_lag(p, &paced_of(p)->lag, 0, rt_playout_count_faded);
}

void rt_paced_discard(rt_playout *p, int32_t row, uint32_t frames)
{
    if (row == RT_LAG_NONE)
        return;
    rt_playout_count_discarded(p, row, frames);
    add64(&p->taken, frames);
}

static uint64_t accounted(const rt_playout_row *row) { return get64(&row->played) + get64(&row->faded) + get64(&row->discarded); }

/* An item is over when its end came and each of its samples has left. */
void rt_paced_pass_ends(rt_playout *p)
{
    rt_paced *paced = paced_of(p);
    for (uint32_t i = 0; i < RT_PACED_ROWS && paced->endings > 0; i++)
        if (paced->ending[i] && accounted(&p->rows[i]) == paced->came[i]) {
            paced->ending[i] = 0;
            paced->endings--;
            add64(&p->rows[i].ends, 1);
            add64(&p->ends_passed, 1);
        }
}

/* ---- packets ---- */

/* Puts a packet's sound in its place; what is late, there already or of a dead generation is discarded. */
static void place(rt_playout *p, const rt_paced_packet *packet, const rt_jitter_placed *placed, int is_dead)
{
    rt_paced *paced = paced_of(p);
    uint32_t at = (uint32_t)(p->read % p->capacity), first = least(packet->frames, (uint32_t)(p->capacity - at)), kept = 0;
    rt_packet part = {placed->position, packet->header.arrival_us, first, packet->generation, (int32_t)packet->row, 0};
    if (is_dead) {
        part.row = RT_LAG_NONE;
        part.is_void = 1;
    }
    if (placed->verdict == RT_JITTER_TAKEN || placed->verdict == RT_JITTER_REBASED) {
        kept = rt_packets_insert(&paced->packets, &part, data(p) + (size_t)at * p->frame_bytes);
        if (first < packet->frames) { /* it goes on at the start of the ring */
            part.position += first;
            part.frames = packet->frames - first;
            kept += rt_packets_insert(&paced->packets, &part, data(p));
        }
    }
    rt_paced_discard(p, (int32_t)packet->row, is_dead ? packet->frames : packet->frames - kept);
}

static void take_packet(rt_playout *p, const rt_paced_packet *packet, uint32_t dead, int fading)
{
    rt_paced *paced = paced_of(p);
    rt_jitter_placed placed;
    int is_dead = packet->generation <= dead && !(fading && packet->generation == get32(&p->playing));
    if (paced->ended)
        rt_jitter_rebase(&paced->jitter); /* what comes is another stream, wherever its clock stands */
    paced->ended = 0;
    rt_jitter_arrived(&paced->jitter, &packet->header, &placed);
    if (packet->header.kind == RT_JITTER_NOISE && !is_dead)
        paced->noise_asked = packet->level >= 127 ? 0.0f : powf(10.0f, -fmaxf(packet->level, LOUDEST_NOISE_DB) / 20.0f);
    if (packet->header.kind != RT_JITTER_SOUND)
        return;
    paced->noise_asked = 0.0f;
    paced->came[packet->row] += packet->frames;
    place(p, packet, &placed, is_dead);
    p->read += packet->frames;
}

void rt_paced_take(rt_playout *p, uint32_t dead, int fading)
{
    rt_paced *paced = paced_of(p);
    rt_paced_packet packet;
    for (int i = 0; i < MOST_PACKETS_TAKEN && rt_ring_read(spans(p), &packet, 1) == 1; i++) {
        if (!packet.end) {
            take_packet(p, &packet, dead, fading);
        } else {
            paced->endings += !paced->ending[packet.row];
            paced->ending[packet.row] = 1;
            paced->ended = 1;
        }
    }
    set64(&p->drained, p->read);
}

void rt_paced_void(rt_playout *p, uint32_t dead)
{
    rt_paced *paced = paced_of(p);
    rt_packet was;
    for (uint32_t cursor = 0; rt_packets_void(&paced->packets, dead, &cursor, &was);)
        rt_paced_discard(p, was.row, was.frames);
    paced->voided = dead;
    paced->noise_asked = 0.0f;
}
