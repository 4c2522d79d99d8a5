/* What this side plays beside what its microphone hears: the same pairs whatever the blocks, after all that changes the sound, moved by the
 * gaps of either device; with a clock each, kept together by the times of both. */
#include "duplex_bench.h"

enum { LENGTH = 240000 };

static float played[LENGTH], beside[LENGTH]; /* by played position, and by captured position */

/* Both halves over `total` frames in blocks of up to `most`; `seed` 0: always `most`. Pairs go to `beside`. */
static void run(rt_duplex *d, uint32_t most, uint64_t seed, uint32_t from, uint32_t total)
{
    static float in[MOST_BLOCK], out[MOST_BLOCK];
    static rt_pair pair;
    unsigned long long state = seed;
    for (uint32_t at = from; at < from + total;) {
        uint32_t n = seed == 0 ? most : 1 + check_random(&state) % most;
        n = n < from + total - at ? n : from + total - at;
        CHECK_EQUAL(rt_duplex_process(d, in, out, n), RT_OK);
        memcpy(played + at, out, n * sizeof *out);
        at += n;
        while (rt_duplex_read_pairs(d, &pair, 1))
            memcpy(beside + pair.position, pair.reference, sizeof pair.reference);
    }
}

static rt_duplex *speaking(uint32_t max_block, uint32_t samples)
{
    rt_duplex_config config = usual();
    config.interrupt.policy = RT_POLICY_NEVER;
    config.max_block_frames = max_block;
    config.pairs_ms = 1000;
    rt_duplex *d = make(&config);
    int16_t *sound = malloc(samples * sizeof *sound);
    for (uint32_t i = 0; i < samples; i++)
        sound[i] = (int16_t)lrintf(32767.0f * noise_at(i));
    rt_playout_open(rt_duplex_playout(d), 1);
    CHECK_EQUAL(rt_playout_push(rt_duplex_playout(d), 1, 1, sound, samples), samples);
    free(sound);
    memset(played, 0, sizeof played);
    memset(beside, 0, sizeof beside);
    return d;
}

/* Whether from captured position `from` on what stands beside the microphone was played `late` samples before. */
static int lies(uint32_t from, uint32_t until, uint32_t late)
{
    for (uint32_t i = from; i < until; i++)
        if (beside[i] != (i < late ? 0.0f : played[i - late]))
            return 0;
    return 1;
}

static void the_same_whatever_the_blocks(void)
{
    static float once[LENGTH];
    static const uint32_t blocks[] = {240, 1, 7, 97, 240, 480, 960, 959};
    for (uint32_t k = 0; k < 8; k++) {
        uint32_t most = k < 5 ? 240 : 960, lead = (most + 239) / 240 * 240;
        rt_duplex *d = speaking(most, 48000);
        rt_duplex_set_volume(d, 1.6f); /* so that the limiter acts, too */
        run(d, blocks[k], k % 2 ? 1234 + k : 0, 0, 48000);
        CHECK(lies(0, 47000, lead));
        if (k == 0)
            memcpy(once, beside, sizeof once);
        else if (k < 5)
            CHECK(memcmp(once, beside, sizeof once) == 0);
        rt_reference_stats stats;
        CHECK_EQUAL(rt_duplex_read_reference_stats(d, &stats), RT_BAD_ARGUMENT);
        free(d);
    }
}

static void gaps_move_it(void)
{
    rt_duplex *d = speaking(480, 96000);
    run(d, 240, 0, 0, 24000);
    CHECK(lies(0, 24000, 480));
    rt_playback_gap(d, 100); /* silence of the device's own: all that follows is heard later */
    run(d, 240, 0, 24000, 24000);
    CHECK(lies(24240, 48000, 580));
    rt_capture_gap(d, 100); /* lost: what is heard from now on was played later than it would have been */
    run(d, 240, 0, 48000, 24000);
    CHECK(lies(48000, 72000, 480));
    rt_capture_gap(d, 1000); /* more than there is: as far as it goes */
    run(d, 240, 0, 72000, 12000);
    CHECK(lies(72000, 84000, 240));
    free(d);
}

/* A half that runs alone for a while, as when a device is away, costs hops of silence, or sound that is left out, and then it goes on. */
static void a_half_alone(void)
{
    float in[RT_HOP] = {0}, out[RT_HOP];
    rt_pair pair;
    rt_duplex *d = speaking(240, 96000);
    run(d, 240, 0, 0, 24000);
    rt_tap *tap = rt_duplex_part(d, d->capture.tap_offset);
    for (int i = 0; i < 50; i++)
        CHECK_EQUAL(rt_capture_process(d, in, RT_HOP), RT_OK);
    while (rt_duplex_read_pairs(d, &pair, 1))
        if (pair.position > 24240)
            for (int i = 0; i < RT_HOP; i++)
                CHECK(pair.reference[i] == 0.0f);
    CHECK_EQUAL(tap->starved, 49);
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(rt_playback_process(d, out, RT_HOP), RT_OK);
    CHECK_EQUAL(tap->jumps, 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(rt_duplex_process(d, in, out, RT_HOP), RT_OK);
        memcpy(played + i * RT_HOP, out, sizeof out);
    }
    CHECK_EQUAL(tap->jumps, 1);
    uint32_t late = 0;
    for (int hop = 0; rt_duplex_read_pairs(d, &pair, 1); hop++)
        if (hop >= 5)
            late += memcmp(pair.reference, played + (hop - 2) * RT_HOP, sizeof pair.reference) == 0;
    CHECK_EQUAL(late, 5); /* the lead, and the hop by which blocks of one sample would be ahead */
    free(d);
}

static void refused(void)
{
    rt_tap *tap = check_memory(rt_tap_size());
    CHECK_EQUAL(rt_tap_init(tap, RT_TAP_SAMPLES / 2 + 1), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_tap_init(tap, 0), RT_OK);
    CHECK_EQUAL(rt_tap_latency(tap), 0);
    free(tap);
    rt_duplex_config config = usual();
    config.two_clocks = 2;
    CHECK_EQUAL(rt_duplex_size(&config), 0);
}

/* ---- two devices with a clock each */

enum { RATE = 48000, BLOCK = 480, SECONDS = 100 };

typedef struct devices {
    rt_duplex *d;
    double ppm, loudspeaker_s, microphone_s; /* what its clock is fast by; when the next block is done */
    double late_s;                           /* by which all that is given is heard later */
    uint64_t given, taken;                   /* frames */
    float *out;                              /* what was given, by frame */
} devices;

static double loudspeaker_rate(const devices *v) { return RATE * (1.0 + v->ppm * 1e-6); }

static void give(devices *v)
{
    v->loudspeaker_s += BLOCK / loudspeaker_rate(v);
    rt_playback_clock(v->d, v->loudspeaker_s + 0.020 + v->late_s);
    CHECK_EQUAL(rt_playback_process(v->d, v->out + v->given, BLOCK), RT_OK);
    v->given += BLOCK;
}

/* The loudspeaker's first frame is heard 20 ms after its first block is given, and the air takes 30 ms more. */
static float in_the_air(const devices *v, double at_s)
{
    double frame = (at_s - 0.050 - v->late_s - BLOCK / loudspeaker_rate(v)) * loudspeaker_rate(v);
    if (frame < 0.0 || frame + 1.0 >= (double)v->given)
        return 0.0f;
    uint64_t whole = (uint64_t)frame;
    float part = (float)(frame - (double)whole);
    return v->out[whole] + part * (v->out[whole + 1] - v->out[whole]);
}

static void hear(devices *v)
{
    float in[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        in[i] = in_the_air(v, (double)(v->taken + i) / RATE);
    rt_capture_clock(v->d, 1e-9 + (double)v->taken / RATE);
    v->taken += BLOCK;
    v->microphone_s += (double)BLOCK / RATE;
    CHECK_EQUAL(rt_capture_process(v->d, in, BLOCK), RT_OK);
}

/* By how many samples the microphone hears later what stands beside it, to a fraction; over half a second. */
static double lag(const float *microphone, const float *reference, uint32_t samples)
{
    enum { FARTHEST = 2400 };
    static double score[FARTHEST];
    int best = 1;
    for (int shift = 0; shift < FARTHEST; shift++) {
        score[shift] = 0.0;
        for (uint32_t i = FARTHEST; i < samples; i += 1)
            score[shift] += (double)microphone[i] * reference[i - shift];
        best = shift > 0 && shift < FARTHEST - 1 && score[shift] > score[best] ? shift : best;
    }
    double left = score[best - 1], mid = score[best], right = score[best + 1];
    return best + 0.5 * (left - right) / (left - 2.0 * mid + right);
}

static double lag_over_the_next_half_second(devices *v)
{
    static float microphone[24000], reference[24000];
    rt_pair pair;
    uint32_t samples = 0;
    while (rt_duplex_read_pairs(v->d, &pair, 1))
        ;
    while (samples < 12000) {
        v->loudspeaker_s <= v->microphone_s ? give(v) : hear(v);
        rt_record record;
        while (rt_duplex_read_records(v->d, &record, 1))
            ;
        for (; rt_duplex_read_pairs(v->d, &pair, 1) && samples < 24000; samples += RT_HOP) {
            memcpy(microphone + samples, pair.microphone, sizeof pair.microphone);
            memcpy(reference + samples, pair.reference, sizeof pair.reference);
        }
    }
    return lag(microphone, reference, samples);
}

static void run_to(devices *v, double until_s)
{
    rt_record record;
    rt_pair pair;
    while (v->microphone_s < until_s) {
        v->loudspeaker_s <= v->microphone_s ? give(v) : hear(v);
        while (rt_duplex_read_records(v->d, &record, 1) || rt_duplex_read_pairs(v->d, &pair, 1))
            ;
    }
}

static devices open_devices(double ppm)
{
    rt_duplex_config config = usual();
    config.capture_rate_hz = config.playback_rate_hz = RATE;
    config.interrupt.policy = RT_POLICY_NEVER;
    config.pairs_ms = 1000;
    config.two_clocks = 1;
    config.hearing = (rt_hearing_config){.echo = RT_ECHO_MODE_AEC, .unsure_threshold = 0.8f};
    config.playout.capacity_frames = SECONDS * RT_RATE;
    devices v = {.d = make(&config), .ppm = ppm, .out = calloc(SECONDS * RATE + 96000, sizeof(float))};
    int16_t *sound = malloc((size_t)SECONDS * RT_RATE * sizeof *sound);
    float slow = 0.0f;
    for (uint32_t i = 0; i < SECONDS * RT_RATE; i++) {
        slow += 0.3f * (noise_at(i) - slow); /* smooth enough to stand between two samples */
        sound[i] = (int16_t)lrintf(16000.0f * slow);
    }
    rt_playout_open(rt_duplex_playout(v.d), 1);
    CHECK_EQUAL(rt_playout_push(rt_duplex_playout(v.d), 1, 1, sound, SECONDS * RT_RATE), SECONDS * RT_RATE);
    free(sound);
    return v;
}

static void two_clocks_stay_together(double ppm)
{
    devices v = open_devices(ppm);
    run_to(&v, 20.0);
    double first = lag_over_the_next_half_second(&v);
    run_to(&v, 50.0);
    double later = lag_over_the_next_half_second(&v);
    run_to(&v, 80.0);
    double last = lag_over_the_next_half_second(&v);
    rt_reference_stats stats;
    CHECK_EQUAL(rt_duplex_read_reference_stats(v.d, &stats), RT_OK);
    CHECK_NEAR(later, first, 12.0);
    CHECK_NEAR(last, later, 5.0); /* without the bending it would be 144 samples at 200 ppm */
    CHECK_NEAR(stats.ppm, ppm, 15.0);
    CHECK_EQUAL(stats.starved + stats.lost, 0);
    CHECK(first > 0.0);
    rt_hearing_stats hearing;
    CHECK_EQUAL(rt_duplex_read_hearing_stats(v.d, &hearing), RT_OK);
    CHECK(hearing.converged && hearing.erle_db > 15.0f); /* the canceller sees one clock */
    CHECK_NEAR(hearing.delay_ms, 1000.0 * last / RT_RATE, 10.0);
    free(v.out);
    free(v.d);
}

/* What a device put in, or lost, is followed with the block that tells of it. */
static void a_gap_of_two_clocks(void)
{
    devices v = open_devices(0.0);
    run_to(&v, 10.0);
    double before = lag_over_the_next_half_second(&v);
    v.late_s = 0.0305; /* 30.5 ms of silence that nobody gave */
    rt_playback_gap(v.d, (int64_t)(0.0305 * RATE));
    run_to(&v, 10.7);
    CHECK_NEAR(lag_over_the_next_half_second(&v), before, 1.5);
    rt_reference_stats stats;
    CHECK_EQUAL(rt_duplex_read_reference_stats(v.d, &stats), RT_OK);
    CHECK_EQUAL(stats.put_in, 732);
    free(v.out);
    free(v.d);
}

int main(void)
{
    the_same_whatever_the_blocks();
    gaps_move_it();
    a_half_alone();
    refused();
    two_clocks_stay_together(200.0);
    two_clocks_stay_together(-200.0);
    two_clocks_stay_together(0.0);
    a_gap_of_two_clocks();
    return CHECK_DONE();
}
