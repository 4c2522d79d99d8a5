/* The queue, one promise at a time: fades, late deltas, ends, thresholds, bounds, refusals. */
#include "playout_bench.h"

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

/* Interrupted as its 5 ms tail sounds, or after it: silent when the fade is over, at once when nothing sounds. */
static void a_tail_obeys_the_fade(void)
{
    static const uint32_t fades[] = {1, 2, 3, 4, 5, 20};
    for (int f = 0; f < 6; f++)
        for (uint32_t heard = 100; heard <= 239; heard += 1 + (heard < 237) * 15) {
            rt_playout_config config = usual;
            config.fade_ms = fades[f];
            bench *b = begin(&config);
            open_generation(b);
            push(b, new_item(b, 1), constant, heard);
            step(b);
            rt_playout_stats stats;
            rt_playout_read_stats(b->playout, &stats);
            CHECK_EQUAL(stats.state, RT_STARVED);
            float before = b->hop[RT_HOP - 1];
            b->latch = 1;
            push(b, 1, constant, 240); /* too late to sound */
            step(b);
            rt_playout_read_stats(b->playout, &stats);
            uint32_t left = heard > 120 ? heard - 120 : 0, most = fades[f] * 24 < left ? fades[f] * 24 : left;
            CHECK_EQUAL(stats.state, left == 0 || fades[f] <= 10 ? RT_SILENT : RT_FADING);
            CHECK_EQUAL(stats.concealed_samples, (left ? RT_HOP - heard : RT_EDGE) + most);
            for (uint32_t i = 0; i < RT_HOP; before = b->hop[i++])
                CHECK(i < most ? b->hop[i] > 0.0f && b->hop[i] <= before : b->hop[i] == 0.0f);
            step(b);
            CHECK_EQUAL(b->books[1].discarded, 240);
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
    CHECK(b->hop[0] > 0.49f && b->hop[119] < 0.01f && stats.concealed_samples == 120);
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

int main(void)
{
    for (int i = 0; i < 48000; i++)
        constant[i] = 16384;
    fade_is_a_raised_cosine();
    a_tail_obeys_the_fade();
    late_deltas_are_never_heard();
    a_foreign_end_is_no_end();
    starts_and_refills_when_told();
    a_full_queue_starts_whatever_it_was_told();
    capacity();
    spans();
    rows();
    bad_arguments();
    return CHECK_DONE();
}
