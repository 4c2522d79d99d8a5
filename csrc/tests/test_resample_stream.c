/* The resampler as a stream: however it is cut, copied, tuned or fed, the same samples and the counts foretold. */
#include "resample_bench.h"

/* Random cuts: the same samples bit for bit, the running count exact, and the forecasts true. */
static void check_cuts_of(const pair *p, unsigned long long seed)
{
    rt_resample *r = resampler(p);
    uint32_t frames = p->rate_in / 10, whole, taken = 0, written = 0;

    noise(frames, seed);
    whole = rt_resample_process(r, in, frames, out, MOST_OUT);
    CHECK_EQUAL(whole, ((uint64_t)frames * r->up + r->down - 1) / r->down);
    rt_resample_reset(r);
    while (taken < frames) {
        uint32_t now = check_random(&seed) % (check_random(&seed) % 8 ? 64 : 1500);
        now = now < frames - taken ? now : frames - taken;
        uint32_t forecast = rt_resample_out(r, now);
        uint32_t got = rt_resample_process(r, in + taken, now, again + written, MOST_OUT - written);
        CHECK_EQUAL(got, forecast);
        taken += now;
        written += got;
        CHECK(fabs((double)taken * p->rate_out / p->rate_in - written) <= 1.0);
    }
    CHECK_EQUAL(written, whole);
    CHECK(memcmp(out, again, whole * sizeof *out) == 0);
    free(r);
}

static void check_cuts(const pair *p)
{
    for (unsigned seed = 1; seed <= 3; seed++)
        check_cuts_of(p, seed);
}

static void check_copy_in_mid_stream(const pair *p)
{
    rt_resample_config config = config_of(p);
    size_t size = rt_resample_size_for(&config);
    rt_resample *first = resampler(p), *second = check_memory(size);
    uint32_t half = p->rate_in / 100 + 7, n;

    noise(3 * half, 5);
    rt_resample_process(first, in, half, out, MOST_OUT);
    memcpy(second, first, size);
    n = rt_resample_process(first, in + half, 2 * half, out, MOST_OUT);
    memset(first, 0xFF, size);
    CHECK_EQUAL(rt_resample_process(second, in + half, 2 * half, again, MOST_OUT), n);
    CHECK(memcmp(out, again, n * sizeof *out) == 0);
    free(first);
    free(second);
}

/* Tuned here and there: forecasts hold, and cutting the stream between two tunings changes nothing. */
static void check_tuning(const pair *p)
{
    rt_resample *r = resampler(p), *cut = resampler(p);
    uint32_t frames = p->rate_in / 100;
    unsigned long long seed = 9;

    noise(20 * frames, 31);
    CHECK_EQUAL(rt_resample_tune(r, 0.0), p->tunable ? RT_OK : RT_BAD_ARGUMENT);
    for (uint32_t block = 0; p->tunable && block < 20; block++) {
        double ppm = (double)(check_random(&seed) % 1000001) / 1000.0 - 500.0;
        const float *from = in + block * frames;
        CHECK_EQUAL(rt_resample_tune(r, ppm), RT_OK);
        CHECK_EQUAL(rt_resample_tune(cut, ppm), RT_OK);
        uint32_t due = rt_resample_out(r, frames), taken = 0, written = 0;
        CHECK_EQUAL(rt_resample_process(r, from, frames, out, MOST_OUT), due);
        for (uint32_t now; taken < frames; taken += now) {
            now = check_random(&seed) % 90;
            now = now < frames - taken ? now : frames - taken;
            written += rt_resample_process(cut, from + taken, now, again + written, MOST_OUT - written);
        }
        CHECK_EQUAL(written, due);
        CHECK(memcmp(out, again, due * sizeof *out) == 0);
    }
    uint64_t before = r->advance;
    CHECK_EQUAL(rt_resample_tune(r, 500.1), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_resample_tune(r, -INFINITY), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_resample_tune(r, NAN), RT_BAD_ARGUMENT);
    CHECK(r->advance == before);
    free(r);
    free(cut);
}

static void check_broken_input_is_forgotten(const pair *p)
{
    rt_resample *r = resampler(p);
    uint32_t frames = p->rate_in / 100, window = 2 * (uint32_t)(rt_resample_latency(r) * p->rate_out) + 4;
    const float broken[] = {NAN, -NAN, INFINITY, -INFINITY, 3.0e38f, -3.0e38f, 1.0e-42f};

    noise(4 * frames, 11);
    rt_resample_process(r, in, 4 * frames, out, MOST_OUT);
    for (uint32_t i = 0; i < frames; i++)
        in[i] = broken[i % 7];
    rt_resample_reset(r);
    uint32_t n = rt_resample_process(r, in, 4 * frames, again, MOST_OUT);
    for (uint32_t i = 0; i < n; i++)
        CHECK(isfinite(again[i]));
    uint32_t clean = (uint32_t)((uint64_t)frames * p->rate_out / p->rate_in) + window;
    CHECK(clean < n);
    CHECK(memcmp(out + clean, again + clean, (n - clean) * sizeof *out) == 0);
    free(r);
}

static void check_silence_is_clean(const pair *p)
{
    rt_resample *r = resampler(p);
    uint32_t frames = p->rate_in / 10;

    noise(frames, 3);
    rt_resample_process(r, in, frames, out, MOST_OUT);
    for (uint32_t i = 0; i < frames; i++)
        in[i] = i < 200 ? ldexpf(1.0f, -(int)i) : i % 2 ? 1.0e-30f : -1.0e-41f; /* fades out through the subnormals */
    uint32_t n = rt_resample_process(r, in, frames, out, MOST_OUT);
    for (uint32_t i = 0; i < n; i++)
        CHECK(fpclassify(out[i]) != FP_SUBNORMAL);
    memset(in, 0, frames * sizeof *in);
    n = rt_resample_process(r, in, frames, out, MOST_OUT);
    for (uint32_t i = n / 2; i < n; i++)
        CHECK(out[i] == 0.0f);
    free(r);
}

static void check_short_room(const pair *p)
{
    rt_resample *r = resampler(p);
    uint32_t frames = p->rate_in / 50;

    noise(2 * frames, 8);
    uint32_t whole = rt_resample_process(r, in, 2 * frames, out, MOST_OUT);
    rt_resample_reset(r);
    uint32_t first = rt_resample_out(r, frames);
    again[5] = 55.0f;
    CHECK_EQUAL(rt_resample_process(r, in, frames, again, 5), 5);
    CHECK(again[5] == 55.0f);
    uint32_t n = rt_resample_process(r, in + frames, frames, again, MOST_OUT);
    CHECK_EQUAL(first + n, whole);
    CHECK(memcmp(out + first, again, n * sizeof *out) == 0);
    free(r);
}

static void check_equal_rates(void)
{
    rt_resample *r = resampler(&(pair){24000, 24000, 0.0, FILES, 0});

    noise(1000, 4);
    CHECK(rt_resample_latency(r) == 0.0);
    CHECK_EQUAL(rt_resample_process(r, in, 1000, out, MOST_OUT), 1000);
    CHECK(memcmp(in, out, 1000 * sizeof *in) == 0);
    CHECK_EQUAL(rt_resample_out(r, 17), 17);
    CHECK_EQUAL(rt_resample_flush(r, out, MOST_OUT), 0);
    free(r);
}

/* A forecast of many frames: what a loop over single blocks would add up to. */
static void check_long_forecast(void)
{
    rt_resample *r = resampler(&(pair){191999, 8001, 0.0, LIVE, 1});

    CHECK_EQUAL(rt_resample_tune(r, -500.0), RT_OK);
    CHECK_EQUAL(rt_resample_out(r, 4000000000u), 166771755u); /* ceil(4e9 * 8001 / (191999 * 0.9995)) */
    free(r);
}

int main(void)
{
    void (*const checks[])(const pair *p) = {
        check_cuts, check_copy_in_mid_stream, check_tuning, check_broken_input_is_forgotten, check_silence_is_clean,
        check_short_room,
    };

    for_each_pair(checks, sizeof checks / sizeof *checks);
    check_equal_rates();
    check_long_forecast();
    return CHECK_DONE();
}
