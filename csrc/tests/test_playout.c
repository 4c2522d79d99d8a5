/* The queue and its ledger, against a simulated device.
 *
 * In the random runs every pushed sample has a value of its own (noise far from zero), so that the output says which source samples
 * really left the block and at what gain. A second, plain book is kept from that output alone and must agree with the ledger, per item
 * and to the sample, after every hop.
 */
#include "check.h"
#include "g711.h"
#include "playout.h"

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
    float recent[RT_PLAYOUT_EDGE];
    uint32_t recent_count, tail, rise, fade;
    int fading, fade_dry;
    float last; /* output sample before this hop */
    float step; /* largest step between two output samples */
    uint64_t underruns;
} bench;

static const rt_playout_config usual = {RT_PCM16, 120000, 20, 0, 0};

static rt_playout *make(const rt_playout_config *config)
{
    rt_playout *playout = check_memory(rt_playout_size(config));
    CHECK_EQUAL(rt_playout_init(playout, config), RT_OK);
    return playout;
}

static bench *begin(const rt_playout_config *config)
{
    bench *b = calloc(1, sizeof *b);
    b->config = *config;
    b->playout = make(config);
    return b;
}

static void end(bench *b)
{
    free(b->playout);
    free(b->twin);
    free(b);
}

static void open_generation(bench *b)
{
    CHECK_EQUAL(rt_playout_open(b->playout, ++b->newest), RT_OK);
    if (b->twin)
        rt_playout_open(b->twin, b->newest);
}

/* A new item of a generation; the first push makes its row. */
static uint32_t new_item(bench *b, uint32_t generation)
{
    b->books[++b->items].generation = generation;
    return b->items;
}

static int64_t push(bench *b, uint32_t item, const int16_t *samples, uint32_t frames)
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

static int complete(bench *b, uint32_t item)
{
    int status = rt_playout_complete(b->playout, item);
    if (b->twin)
        CHECK_EQUAL(rt_playout_complete(b->twin, item), status);
    b->books[item].complete |= status == RT_OK;
    return status;
}

static void interrupt(bench *b, uint32_t generation)
{
    rt_playout_interrupt(b->playout, generation);
    if (b->twin)
        rt_playout_interrupt(b->twin, generation);
    b->host = generation > b->host ? generation : b->host;
}

/* ---- the plain book ---- */

static segment *head(bench *b)
{
    while (b->segment_now < b->segment_count && b->segments[b->segment_now].left == 0)
        b->segment_now++;
    return b->segment_now < b->segment_count ? &b->segments[b->segment_now] : NULL;
}

static void drop_head(bench *b, uint64_t *allowed)
{
    segment *s = head(b);
    CHECK(*allowed >= s->left);
    *allowed -= *allowed >= s->left ? s->left : *allowed;
    b->books[s->item].discarded += s->left;
    b->taken += s->left;
    s->left = 0;
}

static float next_sample(bench *b)
{
    head(b)->left--;
    return (float)b->tape[b->taken++] / 32768.0f;
}

static void note(bench *b, float value)
{
    memmove(b->recent, b->recent + 1, sizeof b->recent - sizeof *b->recent);
    b->recent[RT_PLAYOUT_EDGE - 1] = value;
    b->recent_count += b->recent_count < RT_PLAYOUT_EDGE;
}

static float edge(uint32_t left) { return (float)(0.5 + 0.5 * cos(PI * (left - 0.5) / RT_PLAYOUT_EDGE)); }

static float risen(bench *b, float value) { return b->rise > 0 ? value * edge(b->rise--) : value; }

static float tail_sample(bench *b)
{
    if (b->tail == 0)
        return 0.0f;
    uint32_t k = RT_PLAYOUT_EDGE - b->tail--;
    return k < b->recent_count ? b->recent[RT_PLAYOUT_EDGE - 1 - k] * edge(k + 1) : 0.0f;
}

static void compare(const bench *b, int i, float wanted)
{
    CHECK_NEAR(b->hop[i], wanted, 2e-6);
}

/* One hop inside a fade: `faded` samples of dead generations, then their tail, then silence. */
static void check_fade_hop(bench *b, uint32_t dead, uint64_t faded, uint64_t discarded)
{
    uint32_t total = b->config.fade_ms * 24, n = total - b->fade < RT_HOP ? total - b->fade : RT_HOP, i = 0;
    for (; i < n; i++) {
        float x;
        if (i < faded) {
            segment *s = head(b);
            CHECK(s != NULL && s->generation <= dead);
            if (s == NULL)
                return;
            b->books[s->item].faded++;
            x = risen(b, next_sample(b));
            note(b, x);
        } else {
            if (i == faded && !b->fade_dry) {
                CHECK(head(b) == NULL || head(b)->generation > dead); /* nothing of it may be left behind */
                b->fade_dry = 1;
                b->tail = RT_PLAYOUT_EDGE;
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

static void check_plain_hop(bench *b, uint32_t dead, int before, int after, uint64_t played, uint64_t discarded)
{
    if (played > 0 && before != RT_PLAYING) {
        b->rise = before == RT_STARVED ? RT_PLAYOUT_EDGE : 0;
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
        b->tail = RT_PLAYOUT_EDGE;
        b->rise = 0;
    }
    if (played < RT_HOP && (before == RT_PLAYING || played > 0))
        CHECK(head(b) == NULL); /* a hop is short only for want of samples */
    for (uint64_t i = played; i < RT_HOP; i++)
        compare(b, (int)i, tail_sample(b));
}

static void check_books(bench *b, uint32_t items)
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

/* The device takes a hop, and everything in it is accounted for. */
static void step(bench *b)
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
    if (!b->fading && before.generation != 0 && before.generation <= dead) {
        CHECK_EQUAL(after.interruptions, before.interruptions + 1);
        if (was == RT_STARVED) { /* nothing sounds but its tail */
            was = RT_SILENT;
            b->rise = 0;
        } else {
            b->fading = 1;
            b->fade = 0;
            b->fade_dry = 0;
        }
    } else {
        CHECK_EQUAL(after.interruptions, before.interruptions);
    }
    uint64_t played = after.played - before.played, faded = after.faded - before.faded, discarded = after.discarded - before.discarded;
    if (b->fading) {
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

/* ---- random runs ---- */

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

static int chance(unsigned long long *seed, unsigned per_mille) { return check_random(seed) % 1000 < per_mille; }

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

static void random_run(unsigned long long seed, int kind)
{
    static const uint32_t fades[] = {1, 5, 10, 15, 20, 33, 200}, waits[] = {0, 0, 20, 60, 150};
    unsigned long long state = seed;
    rt_playout_config config = {RT_PCM16, 24000 + check_random(&state) % 24000, fades[kind == SINE ? 3 + check_random(&state) % 4 :
                                check_random(&state) % 7], waits[check_random(&state) % 5], waits[check_random(&state) % 5]};
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
        } else if (late > 0 && --late == 0) {
            open_generation(b);
            item = new_item(b, b->newest);
        }
        if (chance(&state, 5) && (kind == NOISE || b->books[item].queued == 0 || b->books[item].complete)) { /* a reply queued behind another */
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
                complete(b, older);
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
    end(b);
}

/* ---- one thing at a time ---- */

static int16_t constant[48000];

static void fade_is_a_raised_cosine(void)
{
    static const uint32_t fades[] = {1, 5, 10, 20, 33, 200};
    for (int f = 0; f < 6; f++) {
        rt_playout_config config = usual;
        config.fade_ms = fades[f];
        bench *b = begin(&config);
        open_generation(b);
        push(b, new_item(b, 1), constant, 24000);
        step(b);
        step(b);
        b->latch = 1;
        float before = 0.5f;
        for (uint32_t n = 0; n < fades[f] * 24 + 2000;) {
            if (chance(&(unsigned long long){n + 1}, 500))
                push(b, 1, constant, 480); /* late deltas make no difference */
            step(b);
            for (int i = 0; i < RT_HOP; i++, n++) {
                CHECK(b->hop[i] <= before && (n >= fades[f] * 24 ? b->hop[i] == 0.0f : b->hop[i] > 0.0f));
                before = b->hop[i];
            }
        }
        CHECK_EQUAL(b->books[1].played, 480);
        CHECK_EQUAL(b->books[1].faded, fades[f] * 24);
        end(b);
    }
}

static void late_deltas_are_never_heard(void)
{
    bench *b = begin(&usual);
    open_generation(b);
    uint32_t first = new_item(b, 1);
    push(b, first, constant, 9600);
    for (int i = 0; i < 10; i++)
        step(b);
    b->latch = 1;
    step(b);
    step(b);
    for (int i = 0; i < 200; i++) { /* 2 s in which the loop has noticed nothing */
        push(b, first, constant, 2400);
        step(b);
        for (int k = 0; k < RT_HOP; k++)
            CHECK(b->hop[k] == 0.0f);
    }
    open_generation(b);
    uint32_t second = new_item(b, 2);
    for (int i = 0; i < 20; i++) { /* and some between the samples of the next response: no gap in it */
        push(b, second, constant, 100);
        push(b, first, constant, 50);
        push(b, second, constant, 140);
        if (i == 10)
            complete(b, first);
        step(b);
        CHECK(b->hop[0] == 0.5f && b->hop[RT_HOP - 1] == 0.5f);
    }
    CHECK_EQUAL(b->underruns, 0);
    CHECK_EQUAL(b->books[first].played, 2400);
    end(b);
}

/* The end of another item must not pass for the end of the one that runs dry. */
static void a_foreign_end_is_no_end(void)
{
    bench *b = begin(&usual);
    open_generation(b);
    uint32_t first = new_item(b, 1);
    push(b, first, constant, 2400);
    step(b);
    interrupt(b, 1);
    for (int i = 0; i < 5; i++)
        step(b);
    open_generation(b);
    uint32_t second = new_item(b, 2);
    push(b, second, constant, 240);
    step(b);
    complete(b, first);
    step(b);
    rt_playout_stats stats;
    rt_playout_read_stats(b->playout, &stats);
    CHECK_EQUAL(stats.state, RT_STARVED);
    CHECK(b->hop[0] > 0.49f && b->hop[119] < 0.01f && stats.concealed == 120);
    push(b, second, constant, 2400);
    step(b);
    CHECK(b->hop[0] < 0.001f && b->hop[120] == 0.5f);
    CHECK_EQUAL(b->underruns, 1);
    end(b);
}

static void starts_and_refills_when_told(void)
{
    rt_playout_config config = usual;
    config.start_ms = 50, config.refill_ms = 30;
    bench *b = begin(&config);
    open_generation(b);
    uint32_t item = new_item(b, 1);
    push(b, item, constant, 1199);
    step(b);
    CHECK_EQUAL(b->taken, 0);
    push(b, item, constant, 1);
    step(b);
    CHECK_EQUAL(b->taken, 240);
    for (int i = 0; i < 5; i++)
        step(b);
    push(b, item, constant, 719);
    step(b);
    CHECK_EQUAL(b->taken, 1200);
    push(b, item, constant, 1);
    step(b);
    CHECK_EQUAL(b->taken, 1440);
    CHECK_EQUAL(b->underruns, 1);
    for (int i = 0; i < 4; i++)
        step(b);
    complete(b, item); /* the end came late: no underrun */
    step(b);
    rt_playout_stats stats;
    rt_playout_read_stats(b->playout, &stats);
    CHECK_EQUAL(stats.state, RT_SILENT);
    CHECK_EQUAL(b->underruns, 1);
    item = new_item(b, 1);
    push(b, item, constant, 100); /* shorter than start_ms, but complete */
    complete(b, item);
    step(b);
    CHECK_EQUAL(b->books[item].played, 100);
    CHECK(b->hop[99] == 0.5f && b->hop[100] == 0.0f); /* unaltered to its end */
    end(b);
}

static void a_full_queue_starts_whatever_it_was_told(void)
{
    rt_playout_config config = {RT_PCM16, 480, 20, 2000, 2000};
    bench *b = begin(&config);
    open_generation(b);
    push(b, new_item(b, 1), constant, 480);
    step(b);
    CHECK_EQUAL(b->taken, 240);
    end(b);
    config.capacity_frames = 48000;
    b = begin(&config);
    open_generation(b);
    uint32_t item = new_item(b, 1);
    while (push(b, item, constant, 1) == 1)
        ;
    step(b);
    CHECK_EQUAL(b->taken, 240);
    end(b);
}

static void capacity(void)
{
    rt_playout_config config = {RT_PCM16, 1000, 20, 0, 0};
    bench *b = begin(&config);
    open_generation(b);
    uint32_t item = new_item(b, 1);
    CHECK_EQUAL(push(b, item, constant, 900), 900);
    CHECK_EQUAL(push(b, item, constant, 900), 100); /* as much as there is room for */
    CHECK_EQUAL(push(b, item, constant, 1), RT_FULL);
    CHECK_EQUAL(push(b, item, constant, 0), 0);
    step(b);
    CHECK_EQUAL(push(b, item, constant, 900), 240);
    CHECK_EQUAL(complete(b, item), RT_OK);
    CHECK_EQUAL(complete(b, item), RT_OK);
    CHECK_EQUAL(push(b, item, constant, 1), RT_BAD_ARGUMENT);
    for (int i = 0; i < 6; i++)
        step(b);
    CHECK_EQUAL(b->books[item].played, 1240);
    end(b);
}

static void spans(void)
{
    bench *b = begin(&usual);
    open_generation(b);
    uint32_t item = new_item(b, 1);
    for (int i = 0; i < RT_PLAYOUT_SPANS - 1; i++)
        CHECK_EQUAL(push(b, item, constant, 1), 1);
    CHECK_EQUAL(push(b, item, constant, 1), RT_FULL);
    CHECK_EQUAL(complete(b, item), RT_OK); /* there is always room for the end */
    for (int i = 0; i < 40; i++)
        step(b);
    CHECK_EQUAL(b->books[item].played, RT_PLAYOUT_SPANS - 1);
    CHECK_EQUAL(b->underruns, 0);
    end(b);
}

static void rows(void)
{
    bench *b = begin(&usual);
    open_generation(b);
    for (int i = 0; i < RT_PLAYOUT_ITEMS; i++)
        CHECK_EQUAL(push(b, new_item(b, 1), constant, 10), 10);
    uint32_t more = new_item(b, 1);
    CHECK_EQUAL(push(b, more, constant, 10), RT_FULL);
    CHECK_EQUAL(rt_playout_retire(b->playout, 1), RT_FULL);
    CHECK_EQUAL(complete(b, 1), RT_OK);
    CHECK_EQUAL(rt_playout_retire(b->playout, 1), RT_FULL);
    for (int i = 0; i < 4; i++)
        step(b);
    CHECK_EQUAL(rt_playout_retire(b->playout, 1), RT_OK);
    b->books[1].retired = 1;
    CHECK_EQUAL(push(b, more, constant, 10), 10); /* a row used again begins at zero */
    for (int i = 0; i < 4; i++)
        step(b);
    CHECK_EQUAL(b->books[more].played, 10);
    rt_playout_item row;
    CHECK_EQUAL(rt_playout_read_item(b->playout, 1, &row), RT_BAD_ARGUMENT);
    end(b);
}

static void bad_arguments(void)
{
    rt_playout *p = make(&usual);
    rt_playout_config config = usual;
    rt_playout_item row;
#define REFUSED(field, value)                                                                                                             \
    config = usual, config.field = (value);                                                                                               \
    CHECK_EQUAL(rt_playout_size(&config), 0);                                                                                             \
    CHECK_EQUAL(rt_playout_init(p, &config), RT_BAD_ARGUMENT)
    REFUSED(format, 3);
    REFUSED(format, -1);
    REFUSED(capacity_frames, 239);
    REFUSED(capacity_frames, 24000 * 600 + 1);
    REFUSED(fade_ms, 0);
    REFUSED(fade_ms, 201);
    REFUSED(start_ms, 2001);
    REFUSED(refill_ms, 2001);
#undef REFUSED
    CHECK_EQUAL(rt_playout_push(p, 1, 1, constant, 10), RT_BAD_ARGUMENT); /* no generation is open */
    CHECK_EQUAL(rt_playout_open(p, 0), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_open(p, 5), RT_OK);
    CHECK_EQUAL(rt_playout_open(p, 5), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_open(p, 4), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_newest(p), 5);
    CHECK_EQUAL(rt_playout_push(p, 0, 5, constant, 10), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_push(p, 1, 0, constant, 10), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_push(p, 1, 6, constant, 10), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_push(p, 1, 5, constant, 10), 10);
    CHECK_EQUAL(rt_playout_push(p, 1, 4, constant, 10), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_complete(p, 0), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_complete(p, 2), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_retire(p, 0), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_retire(p, 2), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_read_item(p, 0, &row), RT_BAD_ARGUMENT);
    CHECK(rt_playout_latency(p) == 0.0);
    rt_playout_reset(p);
    CHECK_EQUAL(rt_playout_newest(p), 0);
    CHECK_EQUAL(rt_playout_waiting(p), 0);
    free(p);
}

/* ---- G.711 ---- */

static uint32_t encoded(unsigned long long *seed, int format, uint8_t *codes, float *decoded, uint32_t frames)
{
    for (uint32_t i = 0; i < frames; i++)
        codes[i] = (uint8_t)check_random(seed);
    if (format == RT_ULAW)
        rt_ulaw_decode_float(codes, decoded, frames);
    else
        rt_alaw_decode_float(codes, decoded, frames);
    return frames;
}

/* Three items, each ending at another place in its hop: heard is what decoding and resampling by hand gives, with its ringing. */
static void g711_is_flushed_to_the_end(int format, unsigned long long seed)
{
    rt_playout_config config = {format, 40000, 20, 0, 0};
    rt_playout *p = make(&config);
    rt_resample *reference = check_memory(rt_resample_size(8000, RT_RATE));
    rt_resample_init(reference, 8000, RT_RATE);
    uint32_t lag = (uint32_t)(rt_playout_latency(p) / 3.0 + 0.5);
    CHECK(lag > 0);
    rt_playout_open(p, 1);
    for (uint32_t item = 1; item <= 90; item++) {
        static uint8_t codes[2000];
        static float decoded[2000], wanted[6000], got[8000];
        uint32_t frames = encoded(&seed, format, codes, decoded, 400 + item), heard = 0;
        memset(decoded + frames, 0, (2000 - frames) * sizeof *decoded);
        rt_resample_reset(reference);
        rt_resample_process(reference, decoded, 2000, wanted, 6000);
        for (uint32_t at = 0; at < frames;) {
            uint32_t n = 1 + check_random(&seed) % 100;
            n = n < frames - at ? n : frames - at;
            CHECK_EQUAL(rt_playout_push(p, item, 1, codes + at, n), n);
            at += n;
        }
        CHECK_EQUAL(rt_playout_complete(p, item), RT_OK);
        rt_playout_item row;
        for (int hop = 0; hop < 12; hop++, heard += RT_HOP) {
            rt_playout_process(p, 0, got + heard);
            rt_playout_read_item(p, item, &row);
            uint32_t in = 80u * (uint32_t)(hop + 1), centre = in > lag ? in - lag : 0;
            CHECK_EQUAL(row.played, centre < frames ? centre : frames);
        }
        CHECK(memcmp(got, wanted, heard * sizeof *got) == 0);
        CHECK(row.ended && row.queued == frames && row.played == frames);
        CHECK_EQUAL(rt_playout_retire(p, item), RT_OK);
    }
    rt_playout_stats stats;
    rt_playout_read_stats(p, &stats);
    CHECK(stats.underruns == 0 && stats.concealed == 0 && stats.state == RT_SILENT);
    free(reference);
    free(p);
}

static void g711_random_run(int format, unsigned long long seed)
{
    rt_playout_config config = {format, 16000, 20, 0, 20};
    rt_playout *p = make(&config);
    rt_playout_stats stats;
    rt_playout_item row;
    unsigned long long state = seed;
    uint8_t codes[1500];
    float decoded[1500], hop[RT_HOP];
    uint32_t generation = 1, item = 1, last = 0;
    int quiet = 0;
    rt_playout_open(p, generation);
    for (int i = 0; i < 1500; i++) {
        if (quiet == 0 && chance(&state, 150))
            rt_playout_push(p, item, generation, codes, encoded(&state, format, codes, decoded, 1 + check_random(&state) % 1500));
        if (chance(&state, 20)) {
            rt_playout_complete(p, item);
            item++;
        }
        if (quiet > 0 && --quiet == 0) {
            rt_playout_open(p, ++generation);
            item++;
        } else if (quiet == 0 && chance(&state, 15)) {
            rt_playout_interrupt(p, generation);
            quiet = 15;
        }
        if (quiet > 0 && rt_playout_read_item(p, item, &row) == RT_OK && !row.complete)
            rt_playout_push(p, item, generation, codes, 100); /* late */
        rt_playout_process(p, 0, hop);
        if (quiet > 0 && quiet <= 13)
            for (int k = 0; k < RT_HOP; k++)
                CHECK(hop[k] == 0.0f); /* two hops of fade, then nothing */
        rt_playout_read_stats(p, &stats);
        uint64_t inside = stats.queued - rt_playout_waiting(p) - stats.played - stats.faded - stats.discarded;
        CHECK(inside <= (uint64_t)(rt_playout_latency(p) / 3.0 + 0.5)); /* only what is in the resampler is not yet counted */
        for (; last + 1 < item && (rt_playout_read_item(p, last + 1, &row) != RT_OK || rt_playout_complete(p, last + 1) == RT_OK) &&
               rt_playout_retire(p, last + 1) != RT_FULL; last++)
            ;
    }
    rt_playout_complete(p, item);
    for (int i = 0; i < 300; i++)
        rt_playout_process(p, 0, hop);
    rt_playout_read_stats(p, &stats);
    CHECK_EQUAL(stats.played + stats.faded + stats.discarded, stats.queued);
    CHECK_EQUAL(stats.state, RT_SILENT);
    CHECK(stats.interruptions > 5 && stats.played > 0 && stats.faded > 0 && stats.discarded > 0);
    for (; last < item; last++)
        CHECK(rt_playout_read_item(p, last + 1, &row) != RT_OK || rt_playout_retire(p, last + 1) == RT_OK);
    free(p);
}

int main(void)
{
    unsigned long long seed = 99991;
    printf("seed %llu\n", seed);
    fflush(stdout);
    for (int i = 0; i < 48000; i++)
        constant[i] = 16384;
    fade_is_a_raised_cosine();
    late_deltas_are_never_heard();
    a_foreign_end_is_no_end();
    starts_and_refills_when_told();
    a_full_queue_starts_whatever_it_was_told();
    capacity();
    spans();
    rows();
    bad_arguments();
    for (int i = 0; i < 20; i++) {
        random_run(seed + 104729ull * (unsigned)i, NOISE);
        random_run(seed + 104729ull * (unsigned)i, SINE);
        if (check_failures)
            fprintf(stderr, "in random run %d\n", i);
    }
    for (int format = RT_ULAW; format <= RT_ALAW; format++) {
        g711_is_flushed_to_the_end(format, seed);
        for (int i = 0; i < 5; i++)
            g711_random_run(format, seed + 31ull * (unsigned)i);
    }
    return CHECK_DONE();
}
