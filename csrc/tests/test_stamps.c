/* Simulated devices: every dropped piece of 5 to 50 ms is one gap of its length, and nothing else is one. */
#include "check.h"
#include "stamps.h"

typedef struct world {
    double clock, frame, rate, ppm;   /* s now; frames of the device since the start */
    double jitter, late;              /* s: of the stamps; of the call after the stamp */
    double step;                      /* of the stream clock */
    unsigned long long seed;
} world;

static double noise(world *w, double sd) /* roughly normal */
{
    double sum = 0.0;
    for (int i = 0; i < 6; i++)
        sum += check_random(&w->seed) / 4294967296.0 - 0.5;
    return sd * sum * 1.4142;
}

static int64_t block(world *w, rt_stamps *s, uint32_t frames)
{
    double captured = w->frame / (w->rate * (1.0 + 1e-6 * w->ppm));
    w->frame += frames;
    double ready = w->frame / (w->rate * (1.0 + 1e-6 * w->ppm)) + w->late * (check_random(&w->seed) / 4294967296.0);
    return rt_stamps_process(s, captured + noise(w, w->jitter) + w->step + 1000.0, ready + w->step + 1000.0, ready + 5e-5, frames);
}

static int64_t seconds(world *w, rt_stamps *s, uint32_t frames, double s_long, int *events)
{
    int64_t sum = 0;
    for (double end = w->frame + s_long * w->rate; w->frame < end;) {
        int64_t gap = block(w, s, frames);
        *events += gap != 0;
        sum += gap;
    }
    return sum;
}

static void test_drops(double jitter, double ppm, uint32_t rate, uint32_t frames, unsigned long long seed)
{
    static const double drops_ms[] = {5, 6, 7.5, 10, 13, 20, 30, 41, 50};
    world w = {.rate = rate, .ppm = ppm, .jitter = jitter, .late = 0.004, .seed = seed};
    rt_stamps s;
    rt_stamps_init(&s, rate, 0);
    int events = 0;
    CHECK_EQUAL(seconds(&w, &s, frames, 3.0, &events), 0);
    for (size_t i = 0; i < sizeof drops_ms / sizeof *drops_ms; i++) {
        double lost = floor(drops_ms[i] * 1e-3 * rate);
        events = 0;
        w.frame += lost;
        CHECK_NEAR(seconds(&w, &s, frames, 1.5, &events), lost, (3.0 * jitter + 0.0003) * rate);
        CHECK_EQUAL(events, 1);
    }
    events = 0;
    CHECK_EQUAL(seconds(&w, &s, frames, 20.0, &events), 0);
    CHECK_NEAR(s.stats.ppm, ppm, fmin(s.stats.ppm_error, 50.0));
    CHECK(s.stats.ppm_error < 700.0); /* after 20 s; 10 ms of wander allowed for */
    CHECK_EQUAL(s.stats.gaps, 9);
}

static void test_no_false_gap(void)
{
    /* outliers, a slow bend of the estimate, its steps backwards, a stepped stream clock: none of it is lost sound */
    world w = {.rate = 48000, .jitter = 0.0002, .seed = 11};
    rt_stamps s;
    rt_stamps_init(&s, 48000, 0);
    int events = 0;
    seconds(&w, &s, 480, 3.0, &events);
    for (int i = 0; i < 200; i++) {
        w.step = i % 20 == 7 ? 0.03 : 0.0; /* one block at a time */
        events += block(&w, &s, 480) != 0;
    }
    CHECK(s.stats.strange >= 9);
    w.step = 0.0;
    world bend = w;
    for (int i = 0; i < 500; i++) {
        bend.step += 2e-5; /* of stamp and call alike: 2000 ppm for 5 s */
        events += block(&bend, &s, 480) != 0;
    }
    for (int i = 0; i < 200; i++)
        events += block(&bend, &s, 480) != 0;
    CHECK_EQUAL(events, 0);
    CHECK_EQUAL(s.stats.clock_steps, 0);
    bend.step += 3600.0;
    seconds(&bend, &s, 480, 2.0, &events);
    bend.step -= 1800.02;
    seconds(&bend, &s, 480, 2.0, &events);
    CHECK_EQUAL(events, 0);
    CHECK_EQUAL(s.stats.clock_steps, 2);
}

/* A capture estimate that falls by 6 ms and rises again, as PulseAudio's does: no event, and no trust in 6 ms any more. */
static void test_wandering_estimate(void)
{
    rt_stamps s;
    rt_stamps_init(&s, 48000, 0);
    int events = 0;
    for (int i = 0; i < 6000; i++) {
        double at = i * 0.01, shift = i < 600 ? 0.0 : i / 300 % 2 ? 0.0 : -0.006;
        events += rt_stamps_process(&s, at + shift, at + 0.02, at + 0.02, 480) != 0;
    }
    CHECK_EQUAL(events, 0);
    rt_stamps_init(&s, 48000, 1); /* in playback the same is sound dropped and put in */
    for (int i = 0; i < 1600; i++) {
        double at = i * 0.01, shift = i < 1000 ? 0.0 : i < 1300 ? -0.03 : 0.01;
        int64_t gap = rt_stamps_process(&s, at + 0.03 + shift, at, at, 480);
        if (gap != 0)
            CHECK_NEAR(gap, events++ == 0 ? -1440 : 1920, 10);
    }
    CHECK_EQUAL(events, 2);
    CHECK_NEAR(s.stats.gap_frames, 480, 20);
}

static void test_nonsense(void)
{
    rt_stamps s;
    rt_stamps_init(&s, 48000, 1);
    for (int i = 0; i < 1000; i++) { /* a latency of 89478 s, as PortAudio's JACK side once says */
        double at = 50.0 + i * 0.01;
        CHECK_EQUAL(rt_stamps_process(&s, at + 89478.0, at, at, 480), 0);
    }
    CHECK_EQUAL(s.stats.strange, 1000);
    CHECK(s.stats.substituted > 900);
    CHECK_NEAR(s.stats.time, 60.0, 0.001);
    rt_stamps_init(&s, 48000, 1);
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(rt_stamps_process(&s, NAN, NAN, 1.0, 480), 0);
    CHECK_EQUAL(rt_stamps_process(&s, 0.0, 0.0, 0.0, 0), 0);
}

/* Any stamps at all: bounded figures, no arithmetic the sanitizers object to. */
static void test_any_stamps(void)
{
    unsigned long long seed = 77;
    rt_stamps s;
    rt_stamps_init(&s, 8000, 1);
    for (int i = 0; i < 100000; i++) {
        double at = i * 0.01 + (check_random(&seed) % 100 == 0 ? check_random(&seed) * 1e-6 : 0.0);
        double stamp = at + (double)(check_random(&seed) % 8000) * 1e-3 - 4.0;
        int64_t gap = rt_stamps_process(&s, stamp, at, i * 0.01, 1 + check_random(&seed) % 960);
        CHECK(gap > -8000 * 20000ll && gap < 8000 * 20000ll);
    }
}

int main(void)
{
    for (unsigned long long seed = 1; seed <= 20; seed++) {
        test_drops(0.0, 0.0, 48000, 480, seed);
        test_drops(0.00014, 60.0, 48000, 480, seed);  /* PipeWire's stamps */
        test_drops(0.0004, -120.0, 48000, 960, seed);
        test_drops(0.0002, 200.0, 16000, 160, seed);
        test_drops(0.0002, 0.0, 44100, 256, seed);
    }
    test_no_false_gap();
    test_wandering_estimate();
    test_nonsense();
    test_any_stamps();
    return CHECK_DONE();
}
