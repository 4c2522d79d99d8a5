/* Callbacks that never came are counted from the clock; bursts, buffers that fill and drift are not. */
#include "check.h"
#include "due.h"

#define MS 1000000ull

static uint64_t steady(rt_due *due, uint64_t now, int blocks, double block_ms)
{
    for (int i = 0; i < blocks; i++)
        rt_due_process(due, now + (uint64_t)(i * block_ms * (double)MS), 480);
    return now + (uint64_t)(blocks * block_ms * (double)MS);
}

int main(void)
{
    rt_due due;
    rt_due_init(&due, 48000);
    uint64_t now = 5000 * MS;
    for (int i = 0; i < 9; i++)
        rt_due_process(&due, now, 480); /* the buffers fill */
    now = steady(&due, now, 1000, 10.0);
    CHECK_EQUAL(due.missing, 0);
    now = steady(&due, now + 70 * MS, 300, 10.0); /* seven never came */
    CHECK_NEAR(due.missing, 7 * 480, 1);
    CHECK_NEAR(due.longest_ns, 80 * MS, 10);
    uint64_t before = due.missing;
    now = steady(&due, now, 60000, 10.002); /* ten minutes, 200 ppm slow */
    now = steady(&due, now, 60000, 9.998);
    CHECK_EQUAL(due.missing, before);
    for (int i = 0; i < 100; i++, now += 100 * MS) /* ten at once at the end of every 100 ms */
        steady(&due, now + 90 * MS, 10, 0.01);
    now = steady(&due, now, 300, 10.0);
    CHECK_EQUAL(due.missing, before);

    rt_due_init(&due, 48000); /* one in three never comes, evenly */
    now = steady(&due, 1 * MS, 200, 10.0);
    now = steady(&due, now, 1000, 15.0);
    now = steady(&due, now, 200, 10.0);
    CHECK_NEAR(due.missing, 500 * 480, 3 * 480);
    return CHECK_DONE();
}
