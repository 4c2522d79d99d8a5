/* The queue in G.711: what is inside the resampler is heard to its end, and counted when it has left. */
#include "g711.h"
#include "playout_bench.h"

static uint32_t encoded(unsigned long long *seed, int format, uint8_t *codes, float *decoded, uint32_t frames)
{
    for (uint32_t i = 0; i < frames; i++)
        codes[i] = (uint8_t)check_random(seed);
    if (format == RT_ULAW)
        rt_ulaw_decode_float(codes, decoded, frames);
    else
        rt_alaw_decode_float(codes, decoded, frames);
    return frames;
}

/* Three items, each ending at another place in its hop: heard is what decoding and resampling by hand gives, with its ringing. */
static void g711_is_flushed_to_the_end(int format, unsigned long long seed)
{
    rt_playout_config config = {format, 40000, 20, 0, 0};
    rt_playout *p = make(&config);
    rt_resample *reference = check_memory(rt_resample_size(8000, RT_RATE));
    rt_resample_init(reference, 8000, RT_RATE);
    uint32_t lag = (uint32_t)(rt_playout_latency(p) / 3.0 + 0.5);
    CHECK(lag > 0);
    rt_playout_open(p, 1);
    for (uint32_t item = 1; item <= 90; item++) {
        static uint8_t codes[2000];
        static float decoded[2000], wanted[6000], got[8000];
        uint32_t frames = encoded(&seed, format, codes, decoded, 400 + item), heard = 0;
        memset(decoded + frames, 0, (2000 - frames) * sizeof *decoded);
        rt_resample_reset(reference);
        rt_resample_process(reference, decoded, 2000, wanted, 6000);
        for (uint32_t at = 0; at < frames;) {
            uint32_t n = 1 + check_random(&seed) % 100;
            n = n < frames - at ? n : frames - at;
            CHECK_EQUAL(rt_playout_push(p, item, 1, codes + at, n), n);
            at += n;
        }
        CHECK_EQUAL(rt_playout_complete(p, item), RT_OK);
        rt_playout_item row;
        for (int hop = 0; hop < 12; hop++, heard += RT_HOP) {
            rt_playout_process(p, 0, got + heard);
            rt_playout_read_item(p, item, &row);
            uint32_t in = 80u * (uint32_t)(hop + 1), centre = in > lag ? in - lag : 0;
            CHECK_EQUAL(row.played, centre < frames ? centre : frames);
        }
        CHECK(memcmp(got, wanted, heard * sizeof *got) == 0);
        CHECK(row.ended && row.queued == frames && row.played == frames);
        CHECK_EQUAL(rt_playout_retire(p, item), RT_OK);
    }
    rt_playout_stats stats;
    rt_playout_read_stats(p, &stats);
    CHECK(stats.underruns == 0 && stats.concealed_samples == 0 && stats.state == RT_SILENT);
    free(reference);
    free(p);
}

static void g711_random_run(int format, int policy, unsigned long long seed)
{
    rt_playout_config config = {format, 16000, 20, 0, 20, policy};
    rt_playout *p = make(&config);
    rt_playout_stats stats;
    rt_playout_item row;
    unsigned long long state = seed;
    uint8_t codes[1500];
    float decoded[1500], hop[RT_HOP];
    uint32_t generation = 1, item = 1, last = 0;
    int quiet = 0, repeating = 0;
    rt_playout_open(p, generation);
    for (int i = 0; i < 1500; i++) {
        if (quiet == 0 && chance(&state, 150))
            rt_playout_push(p, item, generation, codes, encoded(&state, format, codes, decoded, 1 + check_random(&state) % 1500));
        if (chance(&state, 20)) {
            rt_playout_complete(p, item);
            item++;
        }
        if (quiet > 0 && --quiet == 0) {
            rt_playout_open(p, ++generation);
            item++;
        } else if (quiet == 0 && chance(&state, 15)) {
            rt_playout_interrupt(p, generation);
            quiet = 15;
        }
        if (quiet > 0 && rt_playout_read_item(p, item, &row) == RT_OK && !row.complete)
            rt_playout_push(p, item, generation, codes, 100); /* late */
        rt_playout_process(p, 0, hop);
        if (quiet > 0 && quiet <= 13)
            for (int k = 0; k < RT_HOP; k++)
                CHECK(hop[k] == 0.0f); /* two hops of fade, then nothing */
        rt_playout_read_stats(p, &stats);
        uint64_t inside = stats.queued - rt_playout_waiting(p) - stats.played - stats.faded - stats.discarded;
        CHECK(inside <= (uint64_t)(rt_playout_latency(p) / 3.0 + 0.5)); /* only what is in the resampler is not yet counted */
        repeating += p->stretch.behind > 0 && inside == 0;               /* and a repeat pushes it out like any sound */
        for (; last + 1 < item && (rt_playout_read_item(p, last + 1, &row) != RT_OK || rt_playout_complete(p, last + 1) == RT_OK) &&
               rt_playout_retire(p, last + 1) != RT_FULL; last++)
            ;
    }
    rt_playout_complete(p, item);
    for (int i = 0; i < 300; i++)
        rt_playout_process(p, 0, hop);
    rt_playout_read_stats(p, &stats);
    CHECK_EQUAL(stats.played + stats.faded + stats.discarded, stats.queued);
    CHECK_EQUAL(stats.state, RT_SILENT);
    CHECK((repeating > 0) == (policy == RT_PLAYOUT_BURST));
    CHECK((stats.inserted_samples_for_deceleration > 0) == (policy == RT_PLAYOUT_BURST));
    CHECK(stats.interruptions > 5 && stats.played > 0 && stats.faded > 0 && stats.discarded > 0);
    for (; last < item; last++)
        CHECK(rt_playout_read_item(p, last + 1, &row) != RT_OK || rt_playout_retire(p, last + 1) == RT_OK);
    free(p);
}

int main(void)
{
    unsigned long long seed = 4099;
    printf("seed %llu\n", seed);
    fflush(stdout);
    for (int format = RT_ULAW; format <= RT_ALAW; format++) {
        g711_is_flushed_to_the_end(format, seed);
        for (int i = 0; i < 5; i++)
            for (int policy = RT_PLAYOUT_FIXED; policy <= RT_PLAYOUT_BURST; policy++)
                g711_random_run(format, policy, seed + 31ull * (unsigned)i);
    }
    return CHECK_DONE();
}
