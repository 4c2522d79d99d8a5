/* paced_bench.h - a sender, a link and a paced playout, for the tests of that policy. Time is counted in hops. */
#ifndef PACED_BENCH_H
#define PACED_BENCH_H

#include "check.h"
#include "playout.h"

enum { PCM_MS = 24, PACKETS = 8192, SOUND = RT_RATE * 70, LONGEST_PACKET = 6000 };

static const rt_playout_config paced_pcm = {RT_PCM16, 24000 * 5, 20, 0, 300, RT_PLAYOUT_PACED, 2000, 1.0f};

typedef struct sent {
    rt_jitter_packet packet;
    uint32_t item, generation, first, lost;
} sent;

typedef struct link {
    rt_playout *p;
    sent packets[PACKETS]; /* in the order of arrival */
    uint32_t count, next, pushed;
    uint32_t latch;
    int64_t now_us;
    float *out; /* all that was heard */
    uint32_t heard;
} link;

static int16_t sound[SOUND]; /* 24 kHz */

/* Pulses of a voice of 120 Hz, in words of 0.8 s with 0.4 s of faint noise between. */
static void make_voice(void)
{
    unsigned long long seed = 9;
    for (int i = 0; i < SOUND; i++) {
        double t = i % 200, word = fmod(i / (double)RT_RATE, 1.2);
        double loud = word < 0.8 ? 0.5 - 0.5 * cos(2.0 * 3.14159265358979 * word / 0.8) : 0.0;
        double noise = (double)check_random(&seed) / 4294967296.0 - 0.5;
        sound[i] = (int16_t)lrint(9000.0 * loud * exp(-t / 40.0) * sin(2.0 * 3.14159265358979 * t / 34.0) + 30.0 * noise);
    }
}

static link *make_link(const rt_playout_config *config)
{
    link *l = calloc(1, sizeof *l);
    l->p = check_memory(rt_playout_size(config));
    l->out = calloc(SOUND * 2, sizeof *l->out);
    CHECK_EQUAL(rt_playout_init(l->p, config), RT_OK);
    rt_playout_open(l->p, 1);
    return l;
}

static void free_link(link *l)
{
    free(l->p);
    free(l->out);
    free(l);
}

/* Sends `frames` of the sound from `first` on; it arrives at that time, among the others that were sent. */
static sent *send_sound(link *l, uint32_t number, uint32_t first, uint32_t frames, int64_t arrival_us)
{
    uint32_t at = l->count++;
    while (at > 0 && l->packets[at - 1].packet.arrival_us > arrival_us) {
        l->packets[at] = l->packets[at - 1];
        at--;
    }
    rt_jitter_packet packet = {arrival_us, 7, 1000u + first, frames, (uint16_t)(65000u + number), RT_JITTER_SOUND};
    l->packets[at] = (sent){packet, 1, 1, first % (SOUND - LONGEST_PACKET), 0};
    return &l->packets[at];
}

static void push(link *l, const sent *s)
{
    if (s->lost)
        return;
    int status = rt_playout_push_packet(l->p, s->item, s->generation, &s->packet, sound + s->first, s->packet.frames);
    CHECK_EQUAL(status, RT_OK);
    l->pushed += s->packet.kind == RT_JITTER_SOUND ? s->packet.frames : 0;
}

static rt_playout_stats stats_of(const link *l)
{
    rt_playout_stats stats;
    CHECK_EQUAL(rt_playout_read_stats(l->p, &stats), RT_OK);
    return stats;
}

static void run_hop(link *l)
{
    while (l->next < l->count && l->packets[l->next].packet.arrival_us <= l->now_us)
        push(l, &l->packets[l->next++]);
    rt_playout_clock(l->p, l->now_us);
    rt_playout_process(l->p, l->latch, l->out + l->heard);
    l->heard += RT_HOP;
    l->now_us += 10000;
    rt_playout_stats s = stats_of(l);
    /* the rest is inside the filters: their delay, and what was skipped there */
    int64_t inside = l->pushed - (int64_t)(s.played + s.faded + s.discarded + rt_playout_waiting(l->p));
    CHECK(inside >= 0 && inside <= (int64_t)rt_playout_latency(l->p) + 20 * PCM_MS);
}

static void run(link *l, double seconds)
{
    for (int n = (int)lrint(seconds * 100.0); n > 0; n--)
        run_hop(l);
}

/* 20 ms packets at their pace, each `late` us after it. */
static void send_paced(link *l, uint32_t packets, int64_t late)
{
    for (uint32_t n = 0; n < packets; n++)
        send_sound(l, n, n * 20 * PCM_MS, 20 * PCM_MS, 20000 * (int64_t)(n + 1) + late);
}

#endif
