/* What responses past advise for the next: medians and quantiles worked out by hand. */
#include "arrival.h"
#include "check.h"

enum { MS = RT_RATE / 1000 };

/* One response of ten deltas of 100 ms, each `gap` after the one before, the fifth `late` more. */
static void response(rt_arrival *a, uint32_t number, uint32_t gap, uint32_t late)
{
    uint64_t now = 1000000ull * number;
    for (int i = 0; i < 10; i++, now += gap * MS)
        rt_arrival_note(a, number, 100 * MS, now + (i == 4 ? late * MS : 0));
}

static void fast_responses_ask_for_no_wait(void)
{
    rt_arrival a = {0};
    CHECK(rt_arrival_start(&a) == 0 && rt_arrival_refill(&a) == 0);
    for (uint32_t i = 1; i < 9; i++) {
        response(&a, i, 80, 300); /* 1.25 times; the fifth comes at 320 + 300, when 400 ms have been heard */
        CHECK_EQUAL(rt_arrival_start(&a), 0);
        CHECK_NEAR(rt_arrival_refill(&a), i > 1 ? 220 * MS : 0, 1);
    }
}

static void slow_responses_ask_for_what_they_needed(void)
{
    rt_arrival a = {0};
    static const uint32_t late[] = {50, 10, 90, 30, 70, 0, 0, 0, 0};
    static const double wait[] = {0, 50, 42, 74, 66, 74, 74, 74, 38}; /* the .8 quantile of the last five before, worked out by hand */
    for (uint32_t i = 0; i < 9; i++) {
        response(&a, i + 1, 100, late[i]);
        CHECK_NEAR(rt_arrival_start(&a), wait[i] * MS, 1);
        CHECK_EQUAL(rt_arrival_start(&a), rt_arrival_refill(&a));
    }
}

static void the_median_decides_and_the_wait_is_bounded(void)
{
    rt_arrival a = {0};
    static const uint32_t gaps[] = {200, 50, 200, 50, 200, 50, 50, 50, 50, 50};
    for (uint32_t i = 0; i < 10; i++) {
        response(&a, i + 1, gaps[i], 0);
        int slow = i == 1 || i == 3 || i == 5; /* medians: .5, 1.25, .5, 1.25, .5, and then 2 */
        CHECK_EQUAL(rt_arrival_start(&a), slow ? RT_ARRIVAL_MOST : 0);
    }
}

static void what_tells_nothing_is_passed_over(void)
{
    rt_arrival a = {0};
    response(&a, 5, 200, 0);
    rt_arrival_note(&a, 4, 2400, 9000000); /* older */
    rt_arrival_note(&a, 5, 0, 9000000);
    rt_arrival_note(&a, 6, 2400, 9000000); /* closes 5 */
    CHECK_EQUAL(a.count, 1);
    rt_arrival_note(&a, 7, 2400, 9100000); /* 6 was one delta */
    rt_arrival_note(&a, 7, 2400, 9100000); /* no time at all between two */
    CHECK_EQUAL(a.count, 1);
    rt_arrival_note(&a, 8, 2400, 9200000);
    CHECK_EQUAL(a.count, 2);
    CHECK(a.rates[1] == 1000.0f && a.waits[1] == 0.0f);
    rt_arrival_reset(&a);
    CHECK(a.count == 0 && a.response == 0);
}

int main(void)
{
    fast_responses_ask_for_no_wait();
    slow_responses_ask_for_what_they_needed();
    the_median_decides_and_the_wait_is_bounded();
    what_tells_nothing_is_passed_over();
    return CHECK_DONE();
}
