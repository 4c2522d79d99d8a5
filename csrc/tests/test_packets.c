/* The packet buffer against a plain array of what belongs where. */
#include "check.h"
#include "packets.h"

enum { CAPACITY = 1000 };

static rt_packets *make(void)
{
    rt_packets *p = check_memory(rt_packets_size(CAPACITY, 2));
    CHECK_EQUAL(rt_packets_init(p, CAPACITY, 2), RT_OK);
    return p;
}

static uint32_t insert(rt_packets *p, int64_t position, uint32_t frames, int32_t row)
{
    int16_t samples[4 * CAPACITY];
    for (uint32_t i = 0; i < frames; i++)
        samples[i] = (int16_t)(position + i);
    rt_packet packet = {position, 0, frames, 1, row, 0};
    return rt_packets_insert(p, &packet, samples);
}

static void what_was_first_stays(void)
{
    rt_packets *p = make();
    rt_packets_run run;
    CHECK_EQUAL(insert(p, 100, 50, 1), 50);
    CHECK_EQUAL(insert(p, 140, 30, 2), 20);  /* its first ten are there */
    CHECK_EQUAL(insert(p, 80, 40, 3), 20);   /* its last twenty are */
    CHECK_EQUAL(insert(p, 90, 100, 4), 20);  /* the part behind all of them */
    CHECK_EQUAL(insert(p, 85, 60, 5), 0);
    CHECK_EQUAL(insert(p, 0, 10, 6), 10);
    CHECK_EQUAL(insert(p, 990, 20, 7), 10);  /* beyond what it holds */
    CHECK_EQUAL(insert(p, 2000, 20, 7), 0);
    CHECK_EQUAL(insert(p, -5, 8, 8), 0);     /* partly before the playhead, the rest is there */
    rt_packets_run_at(p, &run);
    CHECK_EQUAL(run.at_hand, 10);
    CHECK_EQUAL(run.hole, 0);
    rt_packet of;
    CHECK_EQUAL(rt_packets_pass(p, 100, &of), 10);
    CHECK_EQUAL(of.row, 6);
    rt_packets_run_at(p, &run);
    CHECK_EQUAL(run.at_hand, 0);
    CHECK_EQUAL(run.hole, 70);
    CHECK_EQUAL(rt_packets_pass(p, 30, &of), 30);
    CHECK_EQUAL(of.row, -1);
    CHECK_EQUAL(insert(p, 35, 10, 9), 5); /* the playhead stands at 40 */
    free(p);
}

static void against_a_plain_array(unsigned long long seed)
{
    rt_packets *p = make();
    static int32_t owner[1 << 18];
    int64_t newest = 0;
    memset(owner, 0, sizeof owner);
    for (int32_t n = 1; n < 20000 && p->playhead + 5 * CAPACITY < 1 << 18; n++) {
        int64_t position = newest + (int64_t)(check_random(&seed) % 300) - 200;
        uint32_t frames = 1 + check_random(&seed) % 120, expected = 0, first = 0;
        for (uint32_t i = 0; i < frames; i++) { /* the first part of it that is new */
            int64_t at = position + i;
            int is_new = at >= p->playhead && at < p->playhead + CAPACITY && owner[at] == 0;
            if (!is_new && expected > 0)
                break;
            if (is_new && expected++ == 0)
                first = i;
        }
        CHECK_EQUAL(insert(p, position, frames, n), expected);
        for (uint32_t i = 0; i < expected; i++)
            owner[position + first + i] = n;
        newest = position > newest ? position : newest;
        rt_packet of;
        int16_t samples[200];
        uint32_t ahead = check_random(&seed) % 60, seen = rt_packets_peek(p, ahead, 50, samples, &of);
        CHECK((seen > 0) == (owner[p->playhead + ahead] != 0));
        for (uint32_t i = 0; i < seen; i++)
            CHECK(samples[i] == (int16_t)(p->playhead + ahead + i) && owner[p->playhead + ahead + i] == of.row);
        if (check_random(&seed) % 3 == 0) {
            int64_t before = p->playhead, passed = rt_packets_pass(p, check_random(&seed) % 150, &of);
            for (int64_t i = 0; i < passed; i++)
                CHECK(owner[before + i] == (of.row < 0 ? 0 : of.row));
        }
    }
    free(p);
}

static void void_packets_keep_their_time(void)
{
    rt_packets *p = make();
    rt_packet was, of;
    uint32_t cursor = 0, count = 0, frames = 0;
    for (int n = 0; n < 10; n++)
        insert(p, n * 20, 20, n);
    rt_packets_pass(p, 15, &of);
    p->packets[5].generation = 2;
    while (rt_packets_void(p, 1, &cursor, &was)) {
        count++;
        frames += was.frames;
    }
    CHECK_EQUAL(count, 9);
    CHECK_EQUAL(frames, 9 * 20 - 15);
    cursor = 0;
    CHECK_EQUAL(rt_packets_void(p, 1, &cursor, &was), 0);
    CHECK_EQUAL(rt_packets_pass(p, 100, &of), 5);
    CHECK(of.is_void && of.row == -1);
    free(p);
}

static void no_more_than_it_holds(void)
{
    rt_packets *p = check_memory(rt_packets_size(1 << 16, 1));
    rt_packets_init(p, 1 << 16, 1);
    uint8_t byte = 0;
    for (int n = 0; n < RT_PACKETS_MOST + 5; n++) {
        rt_packet packet = {2 * n, 0, 1, 1, 1, 0};
        CHECK_EQUAL(rt_packets_insert(p, &packet, &byte), n < RT_PACKETS_MOST);
    }
    CHECK_EQUAL(rt_packets_init(p, 0, 1), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_packets_init(p, 10, 3), RT_BAD_ARGUMENT);
    free(p);
}

int main(void)
{
    what_was_first_stays();
    for (unsigned long long seed = 1; seed < 9; seed++)
        against_a_plain_array(seed);
    void_packets_keep_their_time();
    no_more_than_it_holds();
    return CHECK_DONE();
}
