/* The line of samples inside a delaying block: what comes out is what went in, `delay` samples later, with its owner. */
#include "check.h"
#include "lag.h"

static void in_order_and_late(unsigned long long seed, uint32_t delay)
{
    static int32_t went[1 << 16];
    rt_lag lag;
    rt_lag_run run;
    uint32_t in = 0, out = 0, skipped_in[8] = {0}, skipped_out[8] = {0};
    CHECK_EQUAL(rt_lag_init(&lag, delay), RT_OK);
    while (in < (1 << 16) - 300) {
        int32_t row = (int32_t)(check_random(&seed) % 6) - 1;
        uint32_t n = check_random(&seed) % 3 ? 1 + check_random(&seed) % 240 : check_random(&seed) % 2;
        if (row >= 0 && check_random(&seed) % 40 == 0) {
            rt_lag_skip(&lag, row, 50);
            skipped_in[row] += 50;
        }
        rt_lag_push(&lag, row, n);
        for (uint32_t i = 0; i < n; i++)
            went[in++] = row;
        while (rt_lag_pop(&lag, lag.delay, &run)) {
            if (run.skipped) {
                skipped_out[run.row] += run.frames;
                continue;
            }
            for (uint32_t i = 0; i < run.frames; i++)
                CHECK(went[out++] == run.row);
        }
        CHECK_EQUAL(out, in > delay ? in - delay : 0);
    }
    while (rt_lag_pop(&lag, 0, &run)) {
        out += run.skipped ? 0 : run.frames;
        skipped_out[run.row + 1 > 0 ? run.row : 7] += run.skipped ? run.frames : 0;
    }
    CHECK_EQUAL(out, in);
    CHECK(memcmp(skipped_in, skipped_out, sizeof skipped_in) == 0);
}

int main(void)
{
    rt_lag lag;
    static const uint32_t delays[] = {0, 1, 24, 30, 90, RT_LAG_MOST};
    for (int i = 0; i < 6; i++)
        in_order_and_late(100 + (unsigned)i, delays[i]);
    CHECK_EQUAL(rt_lag_init(&lag, RT_LAG_MOST + 1), RT_BAD_ARGUMENT);
    return CHECK_DONE();
}
