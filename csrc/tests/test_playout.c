/* The ledger in random runs (pushes, ends, interruptions, underruns, late deltas, rows used again) and without clicks. */
#include "playout_bench.h"

enum { NOISE = 0, SINE = 1, PERIOD = 80 };

static void content(unsigned long long *seed, int kind, uint64_t first, int16_t *samples, uint32_t frames)
{
    for (uint32_t i = 0; i < frames; i++) {
        unsigned r = check_random(seed);
        if (kind == NOISE)
            samples[i] = (int16_t)((r & 1 ? 1 : -1) * (int)(2000 + (r >> 8) % 30000));
        else
            samples[i] = (int16_t)lrint(16000.0 * sin(2.0 * PI * (double)((first + i) % PERIOD) / PERIOD));
    }
}

static void push_some(bench *b, unsigned long long *seed, int kind, uint32_t item, uint32_t most)
{
    int16_t samples[6000];
    uint32_t frames = 1 + check_random(seed) % most;
    content(seed, kind, b->books[item].queued, samples, frames);
    push(b, item, samples, frames);
}

/* Completes an item; a sine is brought to the end of a period first, since the end of an item is played as it is. */
static void finish(bench *b, unsigned long long *seed, int kind, uint32_t item)
{
    int16_t samples[PERIOD];
    uint32_t over = (uint32_t)(b->books[item].queued % PERIOD);
    if (kind == SINE && over) {
        content(seed, kind, over, samples, PERIOD - over);
        push(b, item, samples, PERIOD - over);
    }
    if (b->books[item].queued)
        complete(b, item);
}

static void retire_some(bench *b, unsigned long long *seed, int kind)
{
    for (uint32_t item = b->items > 50 ? b->items - 50 : 1; item < b->items; item++) {
        book *k = &b->books[item];
        if (k->retired || k->queued == 0 || (item + 40 > b->items && !chance(seed, 300)))
            continue;
        if (!k->complete)
            finish(b, seed, kind, item);
        rt_playout_item row;
        CHECK_EQUAL(rt_playout_read_item(b->playout, item, &row), RT_OK);
        int over = row.ended && row.played + row.faded + row.discarded == row.queued;
        int status = rt_playout_retire(b->playout, item);
        if (b->twin)
            CHECK_EQUAL(rt_playout_retire(b->twin, item), status);
        CHECK_EQUAL(status, over ? RT_OK : RT_FULL);
        k->retired = over;
    }
}

static uint64_t random_run(unsigned long long seed, int kind, int policy)
{
    static const uint32_t fades[] = {1, 5, 10, 15, 20, 33, 200}, waits[] = {0, 0, 20, 60, 150};
    unsigned long long state = seed;
    rt_playout_config config = {RT_PCM16, 24000 + check_random(&state) % 24000, fades[kind == SINE ? 3 + check_random(&state) % 4 :
                                check_random(&state) % 7], waits[check_random(&state) % 5], waits[check_random(&state) % 5], policy};
    bench *b = begin(&config);
    unsigned burst = 100 + check_random(&state) % 400, most = chance(&state, 300) ? 60 : 100 + check_random(&state) % 3000;
    int late = 0;
    open_generation(b);
    uint32_t item = new_item(b, b->newest);
    for (int hop = 0; hop < 1000 && b->pushed < TAPE - 12000; hop++) {
        if (chance(&state, burst) && !b->books[item].complete && rt_playout_waiting(b->playout) < config.capacity_frames - 6100)
            push_some(b, &state, kind, item, most);
        if (chance(&state, 15)) {
            if (kind == SINE || chance(&state, 700))
                finish(b, &state, kind, item);
            item = new_item(b, b->newest);
        }
        if (chance(&state, 12)) { /* barge-in, by either side */
            if (chance(&state, 500))
                b->latch = b->newest;
            else
                interrupt(b, b->newest);
            late = 20;
        } else if (late > 0 && --late == 0 && b->books[item].generation <= (b->latch > b->host ? b->latch : b->host)) {
            open_generation(b);
            item = new_item(b, b->newest);
        }
        /* a reply queued behind another */
        if (chance(&state, 5) && (kind == NOISE || b->books[item].queued == 0 || b->books[item].complete)) {
            open_generation(b);
            item = new_item(b, b->newest);
        }
        uint32_t older = item > 3 ? item - check_random(&state) % 3 : item; /* late deltas of what may be dead */
        uint32_t dead = b->latch > b->host ? b->latch : b->host;
        if (b->books[older].queued && !b->books[older].complete && (kind == NOISE || b->books[older].generation <= dead) &&
            rt_playout_waiting(b->playout) < config.capacity_frames - 6100) {
            if (chance(&state, 100))
                push_some(b, &state, kind, older, most);
            else if (chance(&state, 20))
                finish(b, &state, kind, older);
        }
        retire_some(b, &state, kind);
        if (hop == 500) {
            b->twin = check_memory(rt_playout_size(&config));
            memcpy(b->twin, b->playout, rt_playout_size(&config));
        }
        step(b);
    }
    for (uint32_t i = 1; i <= b->items; i++)
        if (!b->books[i].complete)
            finish(b, &state, kind, i);
    for (int hop = 0; hop < 150; hop++)
        step(b);
    CHECK_EQUAL(b->taken, b->pushed);
    if (kind == SINE)
        CHECK(b->step < 0.06f); /* the sine itself steps by 0.038; a click by up to 0.5 */
    for (int i = 0; i < RT_HOP; i++)
        CHECK(b->hop[i] == 0.0f);
    rt_playout_stats stats;
    rt_playout_read_stats(b->playout, &stats);
    end(b);
    return stats.inserted_samples_for_deceleration;
}

int main(void)
{
    unsigned long long seed = 99991;
    printf("seed %llu\n", seed);
    fflush(stdout);
    uint64_t inserted = 0;
    for (int i = 0; i < 20; i++) {
        random_run(seed + 104729ull * (unsigned)i, NOISE, RT_PLAYOUT_FIXED);
        random_run(seed + 104729ull * (unsigned)i, SINE, RT_PLAYOUT_FIXED);
        inserted += random_run(seed + 104729ull * (unsigned)i, NOISE, RT_PLAYOUT_BURST);
        inserted += random_run(seed + 104729ull * (unsigned)i, SINE, RT_PLAYOUT_BURST);
        if (check_failures)
            fprintf(stderr, "in random run %d\n", i);
    }
    CHECK(inserted > 24000); /* a good deal of it was stretched */
    return CHECK_DONE();
}
