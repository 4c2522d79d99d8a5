/* jitter_bench.h - a stream of packets and its playout, for the tests of jitter. */
#ifndef JITTER_BENCH_H
#define JITTER_BENCH_H

#include "check.h"
#include "jitter.h"

enum { CLOCK = 8000, PACKET = 160, TICK = 10000 };

static inline rt_jitter *make(void)
{
    rt_jitter *jitter = check_memory(rt_jitter_size());
    rt_jitter_config config = {CLOCK, 2000, 1.0f};
    CHECK_EQUAL(rt_jitter_init(jitter, &config), RT_OK);
    return jitter;
}

static inline rt_jitter_packet sound(long n, int64_t arrival_us)
{
    return (rt_jitter_packet){arrival_us, 7, 0xFFFFE000u + (uint32_t)n * PACKET, PACKET, (uint16_t)(65500 + n), RT_JITTER_SOUND};
}

static inline int64_t put(rt_jitter *jitter, rt_jitter_packet packet, int verdict)
{
    rt_jitter_placed placed;
    CHECK_EQUAL(rt_jitter_arrived(jitter, &packet, &placed), verdict);
    CHECK_EQUAL(placed.verdict, verdict);
    return placed.position;
}

/* A stream and its playout: packets in order, all is played. */
typedef struct stream {
    rt_jitter *jitter;
    long next; /* packet */
    int64_t now, origin, end, waited;
    double head;
    rt_jitter_decision last;
} stream;

/* `seconds` of packets that are `late_us(n)` behind their time on a clock `ppm` slower than ours. */
static inline void run(stream *s, double seconds, int64_t (*late_us)(long n), double ppm, int speech)
{
    int64_t until = s->now + (int64_t)(seconds * 1e6);
    for (; s->now < until; s->now += TICK) {
        for (;; s->next++) {
            int64_t due = s->origin + (int64_t)((double)s->next * 20000.0 * (1.0 + ppm * 1e-6)) + (late_us ? late_us(s->next) : 0);
            if (due > s->now)
                break;
            s->end = put(s->jitter, sound(s->next, due), RT_JITTER_TAKEN) + PACKET;
        }
        int64_t head = (int64_t)s->head;
        int action = rt_jitter_decide(s->jitter, s->now, head, s->end > head ? s->end - head : 0, 0, speech, &s->last);
        s->head += (double)s->last.jump;
        if (action == RT_JITTER_PLAY)
            s->head = fmin((double)s->end, s->head + CLOCK / 100 * (double)s->last.speed);
        s->waited += action == RT_JITTER_WAIT;
    }
}

static inline int64_t some(long n)
{
    return (n * 7919) % 4000; /* up to 4 ms */
}

static inline int64_t outages(long n)
{
    return n % 250 < 7 ? 140000 - n % 250 * 20000 : 0; /* every 5 s nothing for 140 ms, then all at once */
}

#endif
