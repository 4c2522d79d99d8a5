/* The policy for burst senders: when it starts, when it slows down, and that the ledger is exact while it does. */
#include "playout_bench.h"

enum { MS = 24, RAMP_FIRST = 4000, RAMP = 28000 };

static int16_t ramp[RAMP];
static const rt_playout_config burst = {RT_PCM16, 120000, 20, 0, 300, RT_PLAYOUT_BURST};

static rt_playout_stats stats_of(const rt_playout *p)
{
    rt_playout_stats stats;
    CHECK_EQUAL(rt_playout_read_stats(p, &stats), RT_OK);
    return stats;
}

/* The sound says where it is from: each sample's value is its place. Played is the furthest place that was heard, to the sample, but for
 * the first few of a cross-fade back, which sound nearly full and count when they come again. */
static void played_is_the_furthest_place_heard(unsigned long long seed)
{
    rt_playout *p = make(&burst);
    float out[RT_HOP];
    uint32_t pushed = 0, hop = 0, cut = 20 + check_random(&seed) % 140, exact = 0;
    int64_t furthest = 0;
    rt_playout_open(p, 1);
    for (; hop < cut; hop++) {
        while (rt_playout_waiting(p) < (20 + check_random(&seed) % 80) * MS && pushed < RAMP) {
            uint32_t n = 1 + check_random(&seed) % 1500;
            n = n < RAMP - pushed ? n : RAMP - pushed;
            CHECK_EQUAL(rt_playout_push(p, 1, 1, ramp + pushed, n), n);
            pushed += n;
            if (pushed == RAMP)
                rt_playout_complete(p, 1);
        }
        rt_playout_process(p, 0, out);
        rt_playout_stats stats = stats_of(p);
        for (int i = 0; i < RT_HOP; i++)
            if (lrintf(out[i] * 32768.0f) - RAMP_FIRST + 1 > furthest)
                furthest = lrintf(out[i] * 32768.0f) - RAMP_FIRST + 1;
        CHECK(stats.played <= furthest && stats.played + 8 >= furthest);
        if (p->stretch.behind == 0) {
            CHECK_EQUAL(stats.played, furthest);
            exact++;
        }
        CHECK_EQUAL(stats.played + stats.faded + stats.discarded + rt_playout_waiting(p), pushed);
        rt_playout_item row;
        CHECK_EQUAL(rt_playout_read_item(p, 1, &row), RT_OK);
        CHECK(!row.ended || (pushed == RAMP && row.played == RAMP));
    }
    rt_playout_stats before = stats_of(p), after;
    CHECK(exact > cut / 4 && (cut < 40 || before.inserted_samples_for_deceleration > 0));
    rt_playout_interrupt(p, 1);
    for (int i = 0; i < 3; i++)
        rt_playout_process(p, 0, out);
    after = stats_of(p);
    CHECK_EQUAL(after.played, before.played);
    CHECK(after.faded <= 20 * MS);
    CHECK_EQUAL(after.played + after.faded + after.discarded, pushed);
    CHECK_EQUAL(rt_playout_waiting(p), 0);
    free(p);
}

/* What is decoded ahead of the sound is cut off with it, whole, and none of the response behind it. */
static void what_is_staged_belongs_to_its_own_response(void)
{
    static const uint32_t fades[] = {1, 3, 20};
    for (uint32_t frames = 500; frames < 1100; frames += 17)
        for (int f = 0; f < 3; f++) {
            rt_playout_config config = burst;
            config.fade_ms = fades[f];
            rt_playout *p = make(&config);
            rt_playout_item row;
            float out[RT_HOP];
            rt_playout_open(p, 1);
            rt_playout_push(p, 1, 1, ramp, frames);
            rt_playout_open(p, 2);
            rt_playout_push(p, 2, 2, ramp, 1200);
            rt_playout_process(p, 0, out);
            rt_playout_process(p, 0, out);
            rt_playout_interrupt(p, 1);
            for (int hop = 0; hop < 20; hop++)
                rt_playout_process(p, 0, out);
            rt_playout_read_item(p, 1, &row);
            CHECK_EQUAL(row.played, 480);
            CHECK_EQUAL(row.faded, frames - 480 < fades[f] * MS ? frames - 480 : fades[f] * MS);
            CHECK_EQUAL(row.played + row.faded + row.discarded, frames);
            rt_playout_read_item(p, 2, &row);
            CHECK_EQUAL(row.played, 1200);
            CHECK_EQUAL(rt_playout_waiting(p), 0);
            free(p);
        }
}

/* An item whose end comes while a repeat is under way has ended when the last of it has left, not before. */
static void an_end_waits_for_the_repeat(void)
{
    int16_t tone[1200];
    for (int i = 0; i < 1200; i++)
        tone[i] = (int16_t)lrint(12000 * sin(2 * PI * i / 340));
    uint64_t inserted = 0;
    for (uint32_t frames = 633; frames < 1200; frames += 13) {
        rt_playout *p = make(&burst);
        rt_playout_item row;
        float out[RT_HOP];
        uint32_t heard = 0;
        rt_playout_open(p, 1);
        rt_playout_push(p, 1, 1, tone, frames);
        for (int hop = 0; hop < 9; hop++) {
            if (hop == 3)
                rt_playout_complete(p, 1);
            heard += rt_playout_process(p, 0, out) != 0;
            rt_playout_read_item(p, 1, &row);
            CHECK(!row.ended || row.played == frames);
        }
        rt_playout_stats stats = stats_of(p);
        CHECK(row.ended && stats.state == RT_SILENT && stats.underruns == 0 && stats.concealed_samples == 0);
        CHECK_EQUAL(heard, (frames + stats.inserted_samples_for_deceleration - 1) / RT_HOP);
        inserted += stats.inserted_samples_for_deceleration;
        free(p);
    }
    CHECK(inserted > 10000);
}

/* With up to 110 ms at hand it plays at 0.94; with 150 ms, or its end, at hand it is the source bit for bit. */
static void slow_only_while_little_is_at_hand(void)
{
    float out[RT_HOP];
    int16_t tone[2400];
    for (int i = 0; i < 2400; i++)
        tone[i] = (int16_t)lrint(12000 * sin(2 * PI * i / 120));
    for (int much = 0; much < 3; much++) {
        rt_playout *p = make(&burst);
        rt_playout_open(p, 1);
        for (int hop = 0; hop < 1000; hop++) {
            while (rt_playout_waiting(p) < (much == 1 ? 160 : 60) * MS && (much < 2 || hop == 0))
                rt_playout_push(p, 1, 1, tone, much == 2 ? 2400 : 1200);
            if (much == 2)
                rt_playout_complete(p, 1);
            rt_playout_process(p, 0, out);
            for (int i = 0; i < RT_HOP && much == 1; i++)
                CHECK(out[i] == (float)tone[(hop * RT_HOP + i) % 1200] / 32768.0f);
        }
        rt_playout_stats stats = stats_of(p);
        CHECK_EQUAL(stats.underruns, 0);
        CHECK_EQUAL(stats.played, much == 2 ? 2400 : 240000 - stats.inserted_samples_for_deceleration + p->stretch.behind);
        CHECK_NEAR(stats.inserted_samples_for_deceleration, much == 0 ? 0.06 * 240000 : 0, much == 0 ? 480 : 0);
        free(p);
    }
}

/* A response of `count` deltas of 100 ms, `gap` hops apart. Returns how many hops after its first delta it was first heard. */
static int respond(rt_playout *p, uint32_t number, int count, int gap)
{
    float out[RT_HOP];
    int heard = -1, hop = 0;
    rt_playout_open(p, number);
    for (int i = 0; i < count; i++) {
        rt_playout_push(p, number, number, ramp, 2400);
        for (int k = 0; k < gap; k++, hop++)
            if (rt_playout_process(p, 0, out) && heard < 0)
                heard = hop;
    }
    rt_playout_complete(p, number);
    for (; rt_playout_process(p, 0, out); hop++)
        heard = heard < 0 ? hop : heard;
    CHECK_EQUAL(rt_playout_retire(p, number), RT_OK);
    return heard;
}

static void a_start_waits_for_what_earlier_ones_needed(void)
{
    rt_playout *p = make(&burst);
    CHECK_EQUAL(respond(p, 1, 20, 11), 0); /* nothing is known: at once, though it comes at 0.91 */
    CHECK(stats_of(p).underruns >= 1);
    uint64_t underruns = stats_of(p).underruns;
    CHECK_EQUAL(respond(p, 2, 20, 11), 19); /* the last delta of the first came 190 ms after the sound before it would have ended */
    CHECK_EQUAL(respond(p, 3, 20, 11), 19);
    CHECK_EQUAL(respond(p, 4, 20, 5), 10); /* 100 + 190 ms are at hand sooner */
    CHECK_EQUAL(stats_of(p).underruns, underruns);
    CHECK(stats_of(p).jitter_buffer_target_delay > 0);
    for (uint32_t i = 5; i < 7; i++)
        respond(p, i, 20, 5); /* three fast ones of five, known once the fourth begins */
    CHECK_EQUAL(respond(p, 7, 20, 5), 0);
    for (uint32_t i = 8; i < 13; i++)
        respond(p, i, 30, 15); /* needs 1450 ms; 400 is the most */
    CHECK_EQUAL(respond(p, 13, 30, 15), 40);
    free(p);
}

static void an_underrun_is_one_episode_with_its_length(void)
{
    rt_playout *p = make(&burst);
    float out[RT_HOP];
    rt_playout_open(p, 1);
    rt_playout_push(p, 1, 1, ramp, 240);
    for (int hop = 0; hop < 31; hop++)
        rt_playout_process(p, 0, out);
    rt_playout_push(p, 1, 1, ramp + 240, 300 * MS - 1); /* not yet what is waited for */
    rt_playout_process(p, 0, out);
    rt_playout_stats stats = stats_of(p);
    CHECK(stats.state == RT_STARVED && stats.underruns == 0 && stats.stalled_samples == 0);
    rt_playout_push(p, 1, 1, ramp + 240 + 300 * MS - 1, 1);
    rt_playout_process(p, 0, out);
    stats = stats_of(p);
    CHECK(stats.state == RT_PLAYING && stats.underruns == 1);
    CHECK_EQUAL(stats.stalled_samples, 31 * RT_HOP);
    CHECK_EQUAL(stats.concealed_samples, RT_EDGE);
    CHECK_EQUAL(stats.jitter_buffer_emitted_count, 480);
    CHECK_EQUAL(stats.jitter_buffer_delay, 240 * RT_HOP); /* the second hop's had waited since the hop before */
    CHECK_EQUAL(stats.jitter_buffer_target_delay, 240 * 300 * MS);
    CHECK_EQUAL(stats.inserted_samples_for_deceleration + stats.removed_samples_for_acceleration, 0);
    free(p);
}

static void a_small_queue_that_is_full_is_not_slow(void)
{
    rt_playout_config config = burst;
    config.capacity_frames = 100 * MS;
    rt_playout *p = make(&config);
    float out[RT_HOP];
    rt_playout_open(p, 1);
    for (int hop = 0; hop < 500; hop++) {
        rt_playout_push(p, 1, 1, ramp, 2400);
        rt_playout_process(p, 0, out);
    }
    CHECK_EQUAL(stats_of(p).played, 500 * RT_HOP);
    config.policy = 2;
    CHECK_EQUAL(rt_playout_size(&config), 0);
    config.policy = -1;
    CHECK_EQUAL(rt_playout_size(&config), 0);
    free(p);
}

int main(void)
{
    unsigned long long seed = 65537;
    printf("seed %llu\n", seed);
    fflush(stdout);
    for (int i = 0; i < RAMP; i++)
        ramp[i] = (int16_t)(RAMP_FIRST + i);
    for (int i = 0; i < 60; i++)
        played_is_the_furthest_place_heard(seed + 31ull * (unsigned)i);
    what_is_staged_belongs_to_its_own_response();
    an_end_waits_for_the_repeat();
    slow_only_while_little_is_at_hand();
    a_start_waits_for_what_earlier_ones_needed();
    an_underrun_is_one_episode_with_its_length();
    a_small_queue_that_is_full_is_not_slow();
    return CHECK_DONE();
}
