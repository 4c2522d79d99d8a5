/* playout_bench.h - the queue against a simulated device, for its tests.
 *
 * Every pushed sample may have a value of its own, so that the output says which source samples really left the block and at what gain.
 * A second, plain book is kept from that output alone and must agree with the ledger, per item and to the sample, after every hop:
 * step() plays one hop and checks everything in it. Where sound is stretched the output does not say so, and the second book is kept from
 * the ledger's totals and the order of the queue alone: what of it each total must have come from.
 */
#ifndef PLAYOUT_BENCH_H
#define PLAYOUT_BENCH_H

#include "check.h"
#include "playout.h"

#include <stddef.h>

#define PI 3.14159265358979323846

enum { MOST_ITEMS = 3000, MOST_SEGMENTS = 20000, TAPE = 1 << 21 };

typedef struct book {
    uint32_t generation;
    uint64_t queued, played, faded, discarded;
    int complete, retired;
} book;

typedef struct segment {
    uint32_t item, generation, left;
} segment;

typedef struct bench {
    rt_playout_config config;
    rt_playout *playout, *twin; /* twin: a copy that must go on the same, or NULL */
    float hop[RT_HOP];
    uint32_t latch, host;

    book books[MOST_ITEMS];
    segment segments[MOST_SEGMENTS];
    uint32_t items, newest, segment_count, segment_now;
    int16_t tape[TAPE];
    uint32_t pushed, taken;

    /* what the plain book knows of the sound */
    float recent[RT_EDGE];
    uint32_t recent_count, tail, rise, fade, sounds;
    int fading, fade_dry;
    float last; /* output sample before this hop */
    float step; /* largest step between two output samples */
    uint64_t underruns;
} bench;

static const rt_playout_config usual = {RT_PCM16, 120000, 20, 0, 0};

static inline rt_playout *make(const rt_playout_config *config)
{
    rt_playout *playout = check_memory(rt_playout_size(config));
    CHECK_EQUAL(rt_playout_init(playout, config), RT_OK);
    return playout;
}

static inline bench *begin(const rt_playout_config *config)
{
    bench *b = calloc(1, sizeof *b);
    b->config = *config;
    b->playout = make(config);
    return b;
}

static inline void end(bench *b)
{
    free(b->playout);
    free(b->twin);
    free(b);
}

static inline void open_generation(bench *b)
{
    CHECK_EQUAL(rt_playout_open(b->playout, ++b->newest), RT_OK);
    if (b->twin)
        rt_playout_open(b->twin, b->newest);
}

/* A new item of a generation; the first push makes its row. */
static inline uint32_t new_item(bench *b, uint32_t generation)
{
    b->books[++b->items].generation = generation;
    return b->items;
}

static inline int64_t push(bench *b, uint32_t item, const int16_t *samples, uint32_t frames)
{
    book *k = &b->books[item];
    int64_t took = rt_playout_push(b->playout, item, k->generation, samples, frames);
    if (b->twin)
        CHECK_EQUAL(rt_playout_push(b->twin, item, k->generation, samples, frames), took);
    if (took <= 0)
        return took;
    memcpy(b->tape + b->pushed, samples, (size_t)took * sizeof *samples);
    b->pushed += (uint32_t)took;
    k->queued += (uint64_t)took;
    b->segments[b->segment_count++] = (segment){item, k->generation, (uint32_t)took};
    return took;
}

static inline int complete(bench *b, uint32_t item)
{
    int status = rt_playout_complete(b->playout, item);
    if (b->twin)
        CHECK_EQUAL(rt_playout_complete(b->twin, item), status);
    b->books[item].complete |= status == RT_OK;
    return status;
}

static inline void interrupt(bench *b, uint32_t generation)
{
    rt_playout_interrupt(b->playout, generation);
    if (b->twin)
        rt_playout_interrupt(b->twin, generation);
    b->host = generation > b->host ? generation : b->host;
}

/* ---- the plain book ---- */

static inline segment *head(bench *b)
{
    while (b->segment_now < b->segment_count && b->segments[b->segment_now].left == 0)
        b->segment_now++;
    return b->segment_now < b->segment_count ? &b->segments[b->segment_now] : NULL;
}

static inline void drop_head(bench *b, uint64_t *allowed)
{
    segment *s = head(b);
    CHECK(*allowed >= s->left);
    *allowed -= *allowed >= s->left ? s->left : *allowed;
    b->books[s->item].discarded += s->left;
    b->taken += s->left;
    s->left = 0;
}

static inline float next_sample(bench *b)
{
    head(b)->left--;
    return (float)b->tape[b->taken++] / 32768.0f;
}

static inline void note(bench *b, float value)
{
    memmove(b->recent, b->recent + 1, sizeof b->recent - sizeof *b->recent);
    b->recent[RT_EDGE - 1] = value;
    b->recent_count += b->recent_count < RT_EDGE;
}

static inline float edge(uint32_t left) { return (float)(0.5 + 0.5 * cos(PI * (left - 0.5) / RT_EDGE)); }

static inline float risen(bench *b, float value) { return b->rise > 0 ? value * edge(b->rise--) : value; }

static inline float tail_sample(bench *b)
{
    if (b->tail == 0)
        return 0.0f;
    uint32_t k = RT_EDGE - b->tail--;
    return k < b->recent_count ? b->recent[RT_EDGE - 1 - k] * edge(k + 1) : 0.0f;
}

static inline void compare(const bench *b, int i, float wanted)
{
    CHECK_NEAR(b->hop[i], wanted, 2e-6);
}

/* One hop inside a fade: `faded` samples of the generation that sounded, then its tail, then silence. */
static inline void check_fade_hop(bench *b, uint32_t dead, uint64_t faded, uint64_t discarded)
{
    uint32_t total = b->config.fade_ms * 24, n = total - b->fade < RT_HOP ? total - b->fade : RT_HOP, i = 0;
    for (; i < n; i++) {
        float x;
        while (!b->fade_dry && head(b) && head(b)->generation <= dead && head(b)->generation != b->sounds)
            drop_head(b, &discarded);
        if (i < faded) {
            segment *s = head(b);
            CHECK(s != NULL && s->generation == b->sounds);
            if (s == NULL)
                return;
            b->books[s->item].faded++;
            x = risen(b, next_sample(b));
            note(b, x);
        } else {
            if (i == faded && !b->fade_dry) {
                CHECK(head(b) == NULL || head(b)->generation > dead); /* nothing of it may be left behind */
                b->fade_dry = 1;
                b->tail = RT_EDGE;
            }
            x = tail_sample(b);
        }
        compare(b, (int)i, (float)(x * (0.5 + 0.5 * cos(PI * (b->fade + i + 0.5) / total))));
    }
    CHECK(faded <= n);
    for (; i < RT_HOP; i++)
        compare(b, (int)i, 0.0f);
    b->fade += n;
    if (b->fade < total) {
        CHECK_EQUAL(discarded, 0);
        return;
    }
    b->fading = 0;
    b->tail = b->rise = 0;
    while (head(b) && head(b)->generation <= dead)
        drop_head(b, &discarded);
    CHECK_EQUAL(discarded, 0);
}

static inline void check_plain_hop(bench *b, uint32_t dead, int before, int after, uint64_t played, uint64_t discarded)
{
    if (played > 0 && before != RT_PLAYING) {
        b->rise = before == RT_STARVED ? RT_EDGE : 0;
        b->underruns += before == RT_STARVED;
        b->recent_count = 0;
    }
    CHECK(played == 0 || b->tail == 0);
    for (uint64_t i = 0; i < played; i++) {
        while (head(b) && head(b)->generation <= dead)
            drop_head(b, &discarded);
        segment *s = head(b);
        CHECK(s != NULL);
        if (s == NULL)
            return;
        b->books[s->item].played++;
        float x = risen(b, next_sample(b));
        note(b, x);
        compare(b, (int)i, x);
    }
    while (discarded > 0 && head(b) && head(b)->generation <= dead)
        drop_head(b, &discarded);
    CHECK_EQUAL(discarded, 0);
    if (after == RT_STARVED && (played > 0 || before == RT_PLAYING)) {
        b->tail = RT_EDGE;
        b->rise = 0;
    }
    if (played < RT_HOP && (before == RT_PLAYING || played > 0))
        CHECK(head(b) == NULL); /* a hop is short only for want of samples */
    for (uint64_t i = played; i < RT_HOP; i++)
        compare(b, (int)i, tail_sample(b));
}

static inline void check_books(bench *b, uint32_t items)
{
    rt_playout_stats stats;
    rt_playout_item row;
    CHECK_EQUAL(rt_playout_read_stats(b->playout, &stats), RT_OK);
    CHECK_EQUAL(stats.queued, b->pushed);
    CHECK_EQUAL(rt_playout_waiting(b->playout), b->pushed - b->taken);
    CHECK_EQUAL(stats.queued, rt_playout_waiting(b->playout) + stats.played + stats.faded + stats.discarded);
    CHECK_EQUAL(stats.underruns, b->underruns);
    for (uint32_t item = b->items > items ? b->items - items : 1; item <= b->items; item++) {
        const book *k = &b->books[item];
        if (k->queued == 0 || k->retired)
            continue;
        CHECK_EQUAL(rt_playout_read_item(b->playout, item, &row), RT_OK);
        CHECK_EQUAL(row.generation, k->generation);
        CHECK_EQUAL(row.queued, k->queued);
        CHECK_EQUAL(row.played, k->played);
        CHECK_EQUAL(row.faded, k->faded);
        CHECK_EQUAL(row.discarded, k->discarded);
        CHECK_EQUAL(row.complete, k->complete);
        CHECK(!row.ended || (k->complete && k->played + k->faded + k->discarded == k->queued));
    }
}

/* Takes `count` samples off the first segments that are (dead) or are not (alive) to be discarded; returns what could not be taken. */
static inline uint64_t take_off(bench *b, uint32_t dead, uint32_t spared, int discard, uint64_t count, size_t field)
{
    for (uint32_t i = (head(b), b->segment_now); i < b->segment_count && count > 0; i++) {
        segment *s = &b->segments[i];
        if ((s->generation <= dead && s->generation != spared) != discard)
            continue;
        uint64_t n = s->left < count ? s->left : count;
        CHECK(!discard || n == s->left || s->generation == b->sounds); /* whole spans, but for what was half played */
        *(uint64_t *)((char *)&b->books[s->item] + field) += n;
        s->left -= (uint32_t)n;
        b->taken += (uint32_t)n;
        count -= n;
    }
    return count;
}

static inline void check_stretched_hop(bench *b, uint32_t dead, const rt_playout_stats *before, const rt_playout_stats *after)
{
    uint64_t played = after->played - before->played, faded = after->faded - before->faded;
    int begun = after->interruptions > before->interruptions, fading = begun || before->state == RT_FADING;
    b->fade = begun ? 0 : b->fade;
    b->sounds = begun ? before->generation : b->sounds;
    CHECK(fading ? played == 0 : faded == 0);
    CHECK(played <= RT_HOP && faded <= RT_HOP);
    b->fade += (uint32_t)faded;
    CHECK(b->fade <= b->config.fade_ms * 24);
    uint32_t spared = fading ? b->sounds : 0;
    CHECK_EQUAL(take_off(b, dead, spared, 0, played, offsetof(book, played)), 0);
    CHECK_EQUAL(take_off(b, dead, spared, 0, faded, offsetof(book, faded)), 0);
    spared = fading && after->state == RT_FADING ? b->sounds : 0;
    CHECK_EQUAL(take_off(b, dead, spared, 1, after->discarded - before->discarded, offsetof(book, discarded)), 0);
    if (fading && after->state != RT_FADING)
        CHECK(head(b) == NULL || head(b)->generation > dead);
    b->underruns += before->state == RT_STARVED && played > 0;
    CHECK(after->inserted_samples_for_deceleration - before->inserted_samples_for_deceleration <= 480);
    CHECK_EQUAL(after->removed_samples_for_acceleration, 0);
    CHECK_EQUAL(after->jitter_buffer_emitted_count, after->played + after->faded);
}

/* The device takes a hop, and everything in it is accounted for. */
static inline void step(bench *b)
{
    rt_playout_stats before, after;
    uint32_t dead = b->latch > b->host ? b->latch : b->host;
    rt_playout_read_stats(b->playout, &before);
    uint32_t sounds = rt_playout_process(b->playout, b->latch, b->hop);
    rt_playout_read_stats(b->playout, &after);
    if (b->twin) {
        float other[RT_HOP];
        CHECK_EQUAL(rt_playout_process(b->twin, b->latch, other), sounds);
        CHECK(memcmp(other, b->hop, sizeof other) == 0);
    }
    CHECK_EQUAL(after.output, before.output + RT_HOP);
    CHECK_EQUAL(sounds, after.generation);
    CHECK((sounds == 0) == (after.state == RT_SILENT));
    int was = before.state;
    if (b->config.policy == RT_PLAYOUT_BURST) {
        check_stretched_hop(b, dead, &before, &after);
    } else if (!b->fading && before.generation != 0 && before.generation <= dead) {
        CHECK_EQUAL(after.interruptions, before.interruptions + 1);
        if (was == RT_STARVED && b->tail == 0) { /* nothing sounds */
            was = RT_SILENT;
            b->rise = 0;
        } else {
            b->fading = 1;
            b->fade = 0;
            b->fade_dry = was == RT_STARVED; /* only its tail sounds */
            b->sounds = before.generation;
        }
    } else {
        CHECK_EQUAL(after.interruptions, before.interruptions);
    }
    uint64_t played = after.played - before.played, faded = after.faded - before.faded, discarded = after.discarded - before.discarded;
    if (b->config.policy == RT_PLAYOUT_BURST) {
        CHECK_EQUAL(after.queued, before.queued);
    } else if (b->fading) {
        CHECK_EQUAL(played, 0);
        check_fade_hop(b, dead, faded, discarded);
    } else {
        CHECK_EQUAL(faded, 0);
        check_plain_hop(b, dead, was, after.state, played, discarded);
    }
    for (int i = 0; i < RT_HOP; i++) {
        float size = fabsf(b->hop[i] - b->last);
        b->step = size > b->step ? size : b->step;
        b->last = b->hop[i];
    }
    check_books(b, after.output / RT_HOP % 16 ? 6 : 60);
}

static inline int chance(unsigned long long *seed, unsigned per_mille) { return check_random(seed) % 1000 < per_mille; }

#endif
