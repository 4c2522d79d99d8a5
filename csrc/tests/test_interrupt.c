/* Barge-in as a state machine: its table, its times in hops, and what must hold in any order of events. */
#include "check.h"
#include "interrupt.h"

static const rt_interrupt_config usual = {RT_POLICY_EITHER, 0.5f, 100, 300};

static rt_interrupt *make(const rt_interrupt_config *config)
{
    rt_interrupt *interrupt = check_memory(rt_interrupt_size());
    CHECK_EQUAL(rt_interrupt_init(interrupt, config), RT_OK);
    return interrupt;
}

static rt_interrupt_result hop(rt_interrupt *interrupt, int speech, uint32_t playing, uint32_t newest)
{
    rt_interrupt_result result;
    rt_interrupt_process(interrupt, speech ? 0.5f : 0.49f, playing, newest, &result);
    return result;
}

#define IS(result, change_, duck_, latch_, hold_)                                                                                         \
    do {                                                                                                                                  \
        rt_interrupt_result r_ = (result);                                                                                                \
        CHECK_EQUAL(r_.change, change_);                                                                                                  \
        CHECK_EQUAL(r_.duck, duck_);                                                                                                      \
        CHECK_EQUAL(r_.latch, latch_);                                                                                                    \
        CHECK_EQUAL(r_.hold, hold_);                                                                                                      \
    } while (0)

static void nothing_to_interrupt(void)
{
    rt_interrupt *i = make(&usual);
    for (int k = 0; k < 50; k++)
        IS(hop(i, 1, 0, 3), RT_CHANGE_NONE, 0, 0, RT_HOLD_OFF); /* speech, silence plays */
    for (int k = 0; k < 50; k++)
        IS(hop(i, 0, 3, 3), RT_CHANGE_NONE, 0, 0, RT_HOLD_OFF); /* a reply plays, no speech */
    free(i);
}

static void confirms_after_confirm_ms_of_speech(void)
{
    rt_interrupt *i = make(&usual);
    IS(hop(i, 1, 3, 4), RT_CHANGE_DUCKED, 4, 0, RT_HOLD_ON); /* in the hop of the onset; all that is open, not only what plays */
    for (int k = 2; k < 10; k++)
        IS(hop(i, 1, 3, 4), RT_CHANGE_NONE, 4, 0, RT_HOLD_ON);
    IS(hop(i, 1, 3, 4), RT_CHANGE_CONFIRMED, 4, 4, RT_HOLD_SEND); /* the tenth */
    for (int k = 0; k < 30; k++)
        IS(hop(i, 1, 3, 4), RT_CHANGE_NONE, 4, 4, RT_HOLD_OFF); /* once */
    IS(hop(i, 0, 0, 4), RT_CHANGE_NONE, 0, 4, RT_HOLD_OFF);     /* it has faded; the latch stays */
    free(i);
}

static void gaps_take_half_away(void)
{
    rt_interrupt *i = make(&usual);
    int hops = 0, change = 0;
    for (; hops < 100 && change != RT_CHANGE_CONFIRMED; hops++) /* two of speech, one without: 3 halves in 3 hops */
        change = hop(i, hops % 3 != 2, 1, 1).change;
    CHECK_EQUAL(hops, 19);
    free(i);
    i = make(&usual);
    for (int k = 0; k < 60; k++) /* one in four: loses more than it gains; no decision either way */
        CHECK(hop(i, k % 4 == 0, 1, 1).change == (k == 0 ? RT_CHANGE_DUCKED : RT_CHANGE_NONE));
    free(i);
}

/* From threshold 0.3 to sure 0.5: a hop of 0.4 counts half, one of 0.3 nothing, so it only ducks. */
static void unsure_hops_count_less(void)
{
    rt_interrupt_config config = usual;
    config.threshold = 0.3f, config.sure = 0.5f;
    static const float probabilities[] = {1.0f, 0.5f, 0.4f, 0.35f};
    static const int wanted[] = {10, 10, 20, 40};
    for (int n = 0; n < 4; n++) {
        rt_interrupt *i = make(&config);
        rt_interrupt_result result = {0};
        int hops = 0;
        for (; hops < 100 && !(result.change & RT_CHANGE_CONFIRMED); hops++)
            rt_interrupt_process(i, probabilities[n] + 1e-6f, 1, 1, &result);
        CHECK(hops >= wanted[n] - 1 && hops <= wanted[n]);
        free(i);
    }
    rt_interrupt *i = make(&config);
    rt_interrupt_result result;
    for (int k = 0; k < 199; k++) {
        rt_interrupt_process(i, 0.3f, 1, 1, &result);
        CHECK_EQUAL(result.change, k == 0 ? RT_CHANGE_DUCKED : RT_CHANGE_NONE);
    }
    free(i);
    config.sure = 1.5f;
    i = check_memory(rt_interrupt_size());
    CHECK_EQUAL(rt_interrupt_init(i, &config), RT_BAD_ARGUMENT);
    free(i);
}

static void restores_after_restore_ms_without(void)
{
    rt_interrupt *i = make(&usual);
    for (int k = 0; k < 5; k++)
        hop(i, 1, 7, 7);
    for (int k = 1; k < 30; k++)
        IS(hop(i, 0, 7, 7), RT_CHANGE_NONE, 7, 0, RT_HOLD_ON);
    IS(hop(i, 0, 7, 7), RT_CHANGE_RESTORED, 0, 0, RT_HOLD_DROP);
    IS(hop(i, 0, 7, 7), RT_CHANGE_NONE, 0, 0, RT_HOLD_OFF);
    IS(hop(i, 1, 7, 7), RT_CHANGE_DUCKED, 7, 0, RT_HOLD_ON); /* and again */
    free(i);
}

static void playback_that_ends_releases(void)
{
    rt_interrupt *i = make(&usual);
    hop(i, 1, 2, 2);
    IS(hop(i, 1, 0, 2), RT_CHANGE_RELEASED, 0, 0, RT_HOLD_SEND); /* what was said is kept, nothing is discarded */
    IS(hop(i, 1, 0, 2), RT_CHANGE_NONE, 0, 0, RT_HOLD_OFF);
    free(i);
}

static void longest_hold_is_two_seconds(void)
{
    rt_interrupt_config config = {RT_POLICY_LOCAL, 0.5f, 1000, 2000};
    rt_interrupt *i = make(&config);
    int hops = 0, change = 0;
    for (; hops < 300 && change != RT_CHANGE_CONFIRMED; hops++) /* a word now and then: never sustained, never quiet */
        change = hop(i, hops % 10 == 0, 5, 5).change;
    CHECK_EQUAL(hops, 200);
    free(i);
}

static void newer_generation_after_a_confirmed_one(void)
{
    rt_interrupt *i = make(&usual);
    for (int k = 0; k < 10; k++)
        hop(i, 1, 1, 1);
    IS(hop(i, 1, 1, 2), RT_CHANGE_NONE, 1, 1, RT_HOLD_OFF);  /* opened, not yet heard */
    IS(hop(i, 0, 2, 2), RT_CHANGE_NONE, 0, 1, RT_HOLD_OFF);  /* heard: over */
    IS(hop(i, 1, 2, 2), RT_CHANGE_DUCKED, 2, 1, RT_HOLD_ON); /* and may be interrupted itself */
    free(i);
    i = make(&usual);
    for (int k = 0; k < 10; k++)
        hop(i, 1, 1, 1);
    IS(hop(i, 1, 2, 2), RT_CHANGE_DUCKED, 2, 1, RT_HOLD_ON); /* still talking as it begins: in the same hop */
    free(i);
}

static void policies(void)
{
    rt_interrupt_config config = usual;
    config.policy = RT_POLICY_SERVER;
    rt_interrupt *i = make(&config);
    IS(hop(i, 1, 1, 1), RT_CHANGE_DUCKED, 1, 0, RT_HOLD_OFF); /* ducks, but the server must hear it to decide */
    for (int k = 0; k < 400; k++)
        IS(hop(i, 1, 1, 1), RT_CHANGE_NONE, 1, 0, RT_HOLD_OFF);
    for (int k = 1; k < 30; k++)
        IS(hop(i, 0, 1, 1), RT_CHANGE_NONE, 1, 0, RT_HOLD_OFF);
    CHECK_EQUAL(hop(i, 0, 1, 1).change, RT_CHANGE_RESTORED);
    free(i);
    config.policy = RT_POLICY_NEVER;
    i = make(&config);
    for (int k = 0; k < 300; k++)
        IS(hop(i, 1, 1, 1), RT_CHANGE_NONE, 0, 0, RT_HOLD_OFF);
    free(i);
    config.policy = RT_POLICY_LOCAL;
    i = make(&config);
    for (int k = 0; k < 9; k++)
        hop(i, 1, 1, 1);
    CHECK_EQUAL(hop(i, 1, 1, 1).change, RT_CHANGE_CONFIRMED);
    free(i);
}

static void every_time_in_hops(void)
{
    for (uint32_t ms = 10; ms <= 1000; ms += 10) {
        rt_interrupt_config config = {RT_POLICY_EITHER, 0.5f, ms, 2 * ms};
        rt_interrupt *i = make(&config);
        uint32_t hops = 1;
        while (hops < 300 && !(hop(i, 1, 1, 1).change & RT_CHANGE_CONFIRMED))
            hops++;
        CHECK_EQUAL(hops, ms / 10); /* the onset is the first of them */
        rt_interrupt_reset(i);
        if (ms == 10)
            i->config.confirm_ms = 20; /* or it would be confirmed, and not be restored */
        for (hop(i, 1, 1, 1), hops = 1; hops < 300; hops++)
            if (hop(i, 0, 1, 1).change != RT_CHANGE_NONE)
                break;
        CHECK_EQUAL(hops, 2 * ms / 10 < 199 ? 2 * ms / 10 : 199); /* restore, or the longest hold before it */
        free(i);
    }
}

static void confirms_in_the_hop_of_the_onset(void)
{
    rt_interrupt_config config = {RT_POLICY_EITHER, 0.5f, 10, 300};
    rt_interrupt *i = make(&config);
    IS(hop(i, 1, 2, 3), RT_CHANGE_DUCKED | RT_CHANGE_CONFIRMED, 3, 3, RT_HOLD_OFF);
    IS(hop(i, 1, 2, 3), RT_CHANGE_NONE, 3, 3, RT_HOLD_OFF);
    IS(hop(i, 1, 4, 4), RT_CHANGE_DUCKED | RT_CHANGE_CONFIRMED, 4, 4, RT_HOLD_OFF); /* and a newer one likewise */
    config.confirm_ms = 11; /* rounded up */
    rt_interrupt_init(i, &config);
    IS(hop(i, 1, 2, 3), RT_CHANGE_DUCKED, 3, 0, RT_HOLD_ON);
    IS(hop(i, 1, 2, 3), RT_CHANGE_CONFIRMED, 3, 3, RT_HOLD_SEND);
    config.confirm_ms = 10, config.policy = RT_POLICY_SERVER; /* the server's to decide, still */
    rt_interrupt_init(i, &config);
    IS(hop(i, 1, 2, 3), RT_CHANGE_DUCKED, 3, 0, RT_HOLD_OFF);
    free(i);
}

static void bad_arguments(void)
{
    static const rt_interrupt_config bad[] = {
        {-1, 0.5f, 100, 300},  {4, 0.5f, 100, 300}, {0, -0.1f, 100, 300}, {0, 1.1f, 100, 300},  {0, NAN, 100, 300},
        {0, 0.5f, 9, 300},     {0, 0.5f, 1001, 300}, {0, 0.5f, 100, 9},    {0, 0.5f, 100, 2001},
    };
    rt_interrupt *i = make(&usual);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        CHECK_EQUAL(rt_interrupt_init(i, &bad[k]), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_interrupt_latency(i), 0);
    rt_interrupt_result result;
    rt_interrupt_process(i, NAN, 1, 1, &result);
    CHECK_EQUAL(result.change, RT_CHANGE_NONE); /* NaN is not speech */
    rt_interrupt_config always = {RT_POLICY_EITHER, 0.0f, 100, 300};
    CHECK_EQUAL(rt_interrupt_init(i, &always), RT_OK);
    rt_interrupt_process(i, 0.0f, 1, 1, &result);
    CHECK_EQUAL(result.change, RT_CHANGE_NONE); /* probability 0 is never speech, whatever the threshold */
    free(i);
}

static void random_walk(unsigned long long seed)
{
    unsigned long long state = seed;
    rt_interrupt_config config = {(int)(check_random(&state) % 4), 0.5f, 10 + 10 * (check_random(&state) % 30),
                                  10 + 10 * (check_random(&state) % 60)};
    rt_interrupt *i = make(&config), *copy = check_memory(rt_interrupt_size());
    uint32_t playing = 0, newest = 0, latch = 0, duck = 0;
    int speech = 0, holding = 0, held = 0, confirmed = 0;
    for (int k = 0; k < 5000; k++) {
        speech = check_random(&state) % 8 == 0 ? !speech : speech;
        if (check_random(&state) % 50 == 0)
            newest++;
        if (check_random(&state) % 30 == 0) { /* what plays is never older than what played, unless silence was between */
            uint32_t least = playing > latch ? playing : latch + 1;
            playing = check_random(&state) % 3 == 0 || least > newest ? 0 : least + check_random(&state) % (newest - least + 1);
        }
        memcpy(copy, i, rt_interrupt_size());
        rt_interrupt_result r = hop(i, speech, playing, newest), again = hop(copy, speech, playing, newest);
        CHECK(memcmp(&r, &again, sizeof r) == 0);
        CHECK(r.latch >= latch && r.latch <= newest);
        CHECK(r.latch == latch || (r.change & RT_CHANGE_CONFIRMED));
        CHECK(!(r.change & RT_CHANGE_DUCKED) || (speech && playing && duck <= newest));
        CHECK(r.duck <= newest && (r.duck == 0 || r.duck >= duck || duck == 0));
        CHECK((r.duck == 0) == (i->state == 0)); /* idle: nothing is ducked */
        CHECK(r.change != RT_CHANGE_RESTORED || r.latch == latch);
        if (config.policy == RT_POLICY_SERVER || config.policy == RT_POLICY_NEVER) {
            CHECK(r.hold != RT_HOLD_ON && r.latch == 0);
        } else if (holding) { /* a hold ends in SEND or DROP, never in nothing, and within 2 s */
            CHECK(r.hold != RT_HOLD_OFF);
            CHECK((r.hold == RT_HOLD_DROP) == (r.change == RT_CHANGE_RESTORED));
            CHECK(++held <= 200);
        } else {
            CHECK(r.hold == RT_HOLD_OFF || r.hold == RT_HOLD_ON);
        }
        if (r.hold == RT_HOLD_ON && !holding)
            held = 1;
        holding = r.hold == RT_HOLD_ON;
        confirmed += (r.change & RT_CHANGE_CONFIRMED) != 0;
        latch = r.latch;
        duck = r.duck;
    }
    CHECK(confirmed > 0 || config.policy >= RT_POLICY_SERVER || config.confirm_ms > 150);
    free(i);
    free(copy);
}

int main(void)
{
    nothing_to_interrupt();
    confirms_after_confirm_ms_of_speech();
    gaps_take_half_away();
    unsure_hops_count_less();
    restores_after_restore_ms_without();
    playback_that_ends_releases();
    longest_hold_is_two_seconds();
    newer_generation_after_a_confirmed_one();
    policies();
    every_time_in_hops();
    confirms_in_the_hop_of_the_onset();
    bad_arguments();
    unsigned long long seed = 1234567;
    printf("seed %llu\n", seed);
    for (int k = 0; k < 40; k++)
        random_walk(seed + 7919ull * (unsigned)k);
    return CHECK_DONE();
}
