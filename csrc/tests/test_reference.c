/* The echo reference: a channel to the sample, and a second clock's sound kept in one place by the drift that is found. */
#include "check.h"
#include "duplex_bench.h"
#include "reference.h"

#include <pthread.h>

enum { MOST = 4800 };

#if defined(__SANITIZE_THREAD__)
#define MINUTES 0 /* of sound on one thread: nothing to find, and slow */
#else
#define MINUTES 1
#endif

/* What the loudspeaker plays at a time: three tones below 2 kHz, again every second; from a table, for the sanitizers' sake. */
enum { TONES = 3, TABLE = 96000 };
static const double hz[TONES] = {211.0, 787.0, 1577.0};
static float table[TABLE + 1];

static void fill_table(void)
{
    for (int i = 0; i <= TABLE; i++)
        for (int k = 0; k < TONES; k++)
            table[i] += (float)(0.15 * sin(2.0 * PI * hz[k] * i / TABLE));
}

static double sound(double t)
{
    double place = (t - floor(t)) * TABLE;
    int at = (int)place;
    return table[at] + (place - at) * (table[at + 1] - table[at]);
}

typedef struct world {
    rt_reference *r;
    rt_reference_config config;
    double ppm;         /* of the second device, to both clocks' truth: the microphone's */
    uint32_t block;     /* device frames a callback of it brings */
    uint32_t burst;     /* callbacks of it that come at once */
    double written, hops;
    double lost_s;      /* device time that never came */
    int still;          /* it writes nothing */
    int untimed;
    unsigned long long seed;
} world;

static double jitter(world *w) { return 1e-3 * (check_random(&w->seed) / 4294967296.0 - 0.5); }

static world open_world(double ppm, uint32_t rate, uint32_t block, uint32_t burst)
{
    world w = {.config = {1, rate, 2, 1, 1}, .ppm = ppm, .block = block, .burst = burst, .seed = 9};
    w.r = check_memory(rt_reference_size(&w.config));
    CHECK_EQUAL(rt_reference_init(w.r, &w.config), RT_OK);
    return w;
}

/* Everything of the second device that is due at time t, in its blocks and bursts. */
static void write_until(world *w, double t)
{
    static float in[2 * MOST];
    double rate = w->config.rate_hz * (1.0 + 1e-6 * w->ppm), piece = (double)w->block * w->burst;
    while (w->written + piece <= t * rate) {
        for (uint32_t k = 0; k < w->burst; k++) {
            for (uint32_t i = 0; i < w->block; i++) {
                in[2 * i] = 0.7f; /* the other channel */
                in[2 * i + 1] = (float)sound((w->written + i) / rate + w->lost_s);
            }
            if (!w->still)
                rt_reference_write(w->r, in, w->block, w->untimed ? 0.0 : 1e3 + (w->written + w->block) / rate + w->lost_s + jitter(w));
            w->written += w->block;
        }
    }
}

/* Hops for so long, `capture_burst` of them at once; the last second is kept. */
static float heard[RT_RATE];

static void run(world *w, double seconds, uint32_t capture_burst)
{
    double end = w->hops + seconds * 100;
    uint32_t n = 0;
    while (w->hops < end) {
        write_until(w, (w->hops + capture_burst) * 0.01);
        for (uint32_t k = 0; k < capture_burst; k++, w->hops++) {
            float hop[RT_HOP];
            rt_reference_read(w->r, hop, w->untimed ? 0.0 : 1e3 + w->hops * 0.01 + jitter(w));
            if (w->hops >= end - 100 && n + RT_HOP <= RT_RATE) {
                memcpy(heard + n, hop, sizeof hop);
                n += RT_HOP;
            }
        }
    }
}

/* The delay at which the last second fits best, 0.01 ms apart; and how well: the correlation there. */
static double delay_of(const world *w, double *fit)
{
    double begin = w->hops * 0.01 - 1.0, in_phase[TONES] = {0}, across[TONES] = {0}, energy = 0.0, best = -1.0, at = 0.0;
    for (uint32_t i = 0; i < RT_RATE; i++) {
        double t = begin + (double)i / RT_RATE;
        energy += (double)heard[i] * heard[i];
        for (int k = 0; k < TONES; k++) {
            in_phase[k] += heard[i] * sin(2.0 * PI * hz[k] * t);
            across[k] += heard[i] * cos(2.0 * PI * hz[k] * t);
        }
    }
    for (double delay = -0.05; delay < 0.25; delay += 1e-5) {
        double both = 0.0;
        for (int k = 0; k < TONES; k++)
            both += 0.15 * (in_phase[k] * cos(2.0 * PI * hz[k] * delay) - across[k] * sin(2.0 * PI * hz[k] * delay));
        if (both > best) {
            best = both;
            at = delay;
        }
    }
    *fit = best / sqrt(energy * RT_RATE * TONES * 0.5 * 0.15 * 0.15 + 1e-30);
    return at;
}

static rt_reference_stats stats_of(const world *w)
{
    rt_reference_stats stats;
    CHECK_EQUAL(rt_reference_read_stats(w->r, &stats), RT_OK);
    return stats;
}

/* Two clocks, bursts on either side: the drift is found, and the sound stays in its place for minutes. */
static void test_drift(double ppm, uint32_t rate, uint32_t block, uint32_t burst, uint32_t capture_burst)
{
    world w = open_world(ppm, rate, block, burst);
    double fit, bursts_ms = 1e3 * block * burst / rate + 10.0 * capture_burst;
    run(&w, 120.0, capture_burst);
    double early = delay_of(&w, &fit);
    CHECK(fit > 0.99);
    rt_reference_stats settled = stats_of(&w);
    run(&w, 120.0, capture_burst);
    CHECK_NEAR(delay_of(&w, &fit), early, 0.001);
    CHECK(fit > 0.99);
    rt_reference_stats stats = stats_of(&w);
    CHECK_NEAR(stats.ppm, ppm, 3.0);
    CHECK_NEAR(stats.age_ms, 1e3 * early - 1e3 * rt_reference_latency(w.r), 1.5);
    CHECK(stats.delay_ms > 0.0 && stats.delay_ms < 30.0 + 2.0 * bursts_ms);
    CHECK_EQUAL(stats.starved, settled.starved); /* once settled nothing happens any more */
    CHECK_EQUAL(stats.jumps, settled.jumps);
    CHECK(settled.starved <= 3);
    CHECK_EQUAL(stats.lost, 0);
    CHECK_EQUAL(stats.hops, 24000);
    CHECK(stats.level_peak > 0.2f && stats.level_rms > 0.1f && stats.level_rms < 0.35f); /* not the other channel */
    free(w.r);
}

/* Without times nothing is bent, and what comes too fast is left out in jumps. */
static void test_untimed(double ppm)
{
    world w = open_world(ppm, 48000, 480, 1);
    double fit;
    w.untimed = 1;
    run(&w, 200.0, 1);
    rt_reference_stats stats = stats_of(&w);
    CHECK(stats.ppm == 0.0 && stats.age_ms == 0.0);
    CHECK(stats.jumps <= 4); /* 50 ppm of 200 s are 10 ms */
    CHECK(stats.starved <= 3);
    CHECK(stats.delay_ms < 60.0);
    delay_of(&w, &fit);
    CHECK(fit > 0.95);
    free(w.r);
}

/* A second device that stands still: silence, counted, and it comes back. */
static void test_starvation(void)
{
    world w = open_world(50.0, 48000, 480, 1);
    double fit;
    run(&w, 20.0, 1);
    rt_reference_stats before = stats_of(&w);
    w.still = 1;
    run(&w, 3.0, 1);
    rt_reference_stats stats = stats_of(&w);
    CHECK_EQUAL(stats.starved, before.starved + 1);
    CHECK_NEAR(stats.starved_samples - before.starved_samples, 3 * RT_RATE, RT_RATE / 10);
    CHECK_EQUAL(stats.flowing, 0);
    CHECK(stats.level_peak == 0.0f);
    w.still = 0;
    run(&w, 20.0, 1);
    delay_of(&w, &fit);
    CHECK(fit > 0.99);
    stats = stats_of(&w);
    CHECK_EQUAL(stats.starved, before.starved + 1);
    CHECK(stats.jumps > before.jumps);
    CHECK_EQUAL(stats.flowing, 1);
    free(w.r);
}

/* A piece too many, and one that was lost: the sound is in its place again within seconds, by one jump each. */
static void test_pieces(void)
{
    static const float surplus[2 * 1920];
    world w = open_world(30.0, 48000, 480, 2);
    double fit;
    run(&w, 60.0, 1);
    double before = delay_of(&w, &fit);
    uint64_t jumps = stats_of(&w).jumps, left_out = stats_of(&w).left_out;
    rt_reference_write(w.r, surplus, 1920, 1e3 + w.written / 48000); /* 40 ms that were not played */
    run(&w, 10.0, 1);
    CHECK_NEAR(delay_of(&w, &fit), before, 0.002);
    CHECK_EQUAL(stats_of(&w).jumps, jumps + 1);
    CHECK_NEAR(stats_of(&w).left_out - left_out, 1920, 150);
    w.lost_s += 0.015; /* and 15 ms that never came */
    run(&w, 10.0, 1);
    CHECK_NEAR(delay_of(&w, &fit), before, 0.002);
    CHECK(fit > 0.99);
    CHECK_EQUAL(stats_of(&w).jumps, jumps + 2);
    CHECK_NEAR(stats_of(&w).put_in, 360, 40);
    free(w.r);
}

/* Nobody reads: the ring fills and says so, and what is read later is still sound. */
static void test_full(void)
{
    world w = open_world(0.0, 48000, 480, 1);
    write_until(&w, 5.0);
    float hop[RT_HOP];
    rt_reference_read(w.r, hop, 0.0);
    rt_reference_stats stats = stats_of(&w);
    CHECK(stats.lost >= 5 * 48000 - 65536 && stats.lost <= 4 * 48000);
    CHECK(stats.flowing);
    free(w.r);
}

static void test_refused(void)
{
    rt_reference_config good = {1, 48000, 2, 1, 1}, bad;
    for (int i = 0; i < 6; i++) {
        bad = good;
        i == 0 ? (bad.rate_hz = 7999) : i == 1 ? (bad.rate_hz = 192001) : i == 2 ? (bad.channels = 0) : i == 3 ? (bad.channels = 33)
            : i == 4 ? (bad.channel = 2) : (uint32_t)(bad.sample = 2);
        CHECK_EQUAL(rt_reference_size(&bad), 0);
    }
    CHECK(rt_reference_size(&good) > 0);
}

/* Another channel of the same blocks: what went in, to the sample, whatever the blocks; without a resampler bit for bit. */
static void test_channel(uint32_t rate)
{
    rt_duplex_config config = usual();
    config.capture_rate_hz = config.playback_rate_hz = rate;
    config.capture_channels = 3;
    config.capture_channel = 2;
    config.reference = (rt_reference_config){0, rate, 3, 0, RT_FLOAT32};
    config.pairs_ms = 1000;
    rt_duplex *d = make(&config);
    static float in[MOST_BLOCK * 3];
    unsigned long long seed = 4;
    uint64_t at = 0, pairs = 0;
    while (pairs < 300) {
        uint32_t n = 1 + check_random(&seed) % MOST_BLOCK;
        for (uint32_t i = 0; i < n; i++, at++) {
            in[3 * i] = noise_at(at);
            in[3 * i + 1] = 0.5f;
            in[3 * i + 2] = 0.5f * noise_at(at);
        }
        CHECK_EQUAL(rt_capture_process(d, in, n), RT_OK);
        static rt_pair pair;
        while (rt_duplex_read_pairs(d, &pair, 1) == 1) {
            CHECK_EQUAL(pair.position, pairs++ * RT_HOP);
            for (int i = 0; i < RT_HOP; i++)
                CHECK_NEAR(pair.microphone[i], 0.5f * pair.reference[i], 1e-6);
            for (int i = 0; rate == RT_RATE && i < RT_HOP; i++)
                CHECK(pair.reference[i] == noise_at(pair.position + i));
        }
    }
    rt_reference_stats stats;
    CHECK_EQUAL(rt_duplex_read_reference_stats(d, &stats), RT_OK);
    CHECK_EQUAL(stats.starved + stats.jumps + stats.lost, 0);
    CHECK_EQUAL(stats.hops, pairs);
    CHECK_EQUAL(rt_duplex_reference(d, in, 10, 0.0), RT_BAD_ARGUMENT); /* it has no clock of its own */
    free(d);
}

/* Pairs that nobody reads are lost, counted, and disturb nothing; without a reference there are none. */
static void test_pairs_unread(void)
{
    rt_duplex_config config = usual();
    config.pairs_ms = 100;
    rt_duplex *d = make(&config);
    static float in[RT_HOP];
    for (int i = 0; i < 50; i++)
        rt_capture_process(d, in, RT_HOP);
    rt_capture_stats stats;
    CHECK_EQUAL(rt_capture_read_stats(d, &stats), RT_OK);
    CHECK(stats.lost_pairs >= 50 - 16 && stats.lost_pairs <= 50 - 10);
    CHECK_EQUAL(stats.hops, 50);
    rt_reference_stats reference;
    CHECK_EQUAL(rt_duplex_read_reference_stats(d, &reference), RT_BAD_ARGUMENT);
    free(d);
    config.pairs_ms = 99;
    CHECK_EQUAL(rt_duplex_size(&config), 0);
    config.pairs_ms = 0;
    config.reference = (rt_reference_config){0, 48000, 1, 0, RT_FLOAT32}; /* not the microphone's rate */
    CHECK_EQUAL(rt_duplex_size(&config), 0);
}

/* Two threads, as two devices are; the loop reads the figures meanwhile. */
static void *write_on(void *argument)
{
    static float in[2 * 480];
    for (int i = 0; i < 2000; i++)
        rt_reference_write(argument, in, 480, 1.0 + i * 0.01);
    return NULL;
}

static void *read_on(void *argument)
{
    float hop[RT_HOP];
    for (int i = 0; i < 2000; i++)
        rt_reference_read(argument, hop, 1.0 + i * 0.01);
    return NULL;
}

static void test_threads(void)
{
    world w = open_world(0.0, 48000, 480, 1);
    pthread_t threads[2];
    CHECK_EQUAL(pthread_create(&threads[0], NULL, write_on, w.r), 0);
    CHECK_EQUAL(pthread_create(&threads[1], NULL, read_on, w.r), 0);
    rt_reference_stats stats;
    do
        while (rt_reference_read_stats(w.r, &stats) != RT_OK)
            ;
    while (stats.hops < 2000);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    stats = stats_of(&w);
    CHECK(stats.lost + stats.left_out <= 2000 * 480);
    free(w.r);
}

int main(void)
{
    fill_table();
    test_threads();
    test_full();
    test_refused();
    test_channel(24000);
    test_channel(48000);
    test_pairs_unread();
    if (!MINUTES)
        return CHECK_DONE();
    test_drift(0.0, 48000, 480, 1, 1);
    test_drift(200.0, 48000, 480, 1, 1);
    test_drift(-200.0, 44100, 441, 1, 1);
    test_drift(80.0, 16000, 320, 1, 2);
    test_drift(-35.0, 48000, 480, 10, 10); /* a sound server at 100 ms: ten blocks at once */
    test_untimed(50.0);
    test_untimed(-50.0);
    test_starvation();
    test_pieces();
    return CHECK_DONE();
}
