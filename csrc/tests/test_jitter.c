/* The paced target, without sound: what each kind of disorder on the way teaches. */
#include "jitter_bench.h"

static void bad_configurations_are_refused(void)
{
    rt_jitter *jitter = make();
    rt_jitter_config bad[] = {{7999, 2000, 1.0f}, {200000, 2000, 1.0f}, {8000, 100, 1.0f}, {8000, 20000, 1.0f}, {8000, 2000, 0.0f}, {8000, 2000, NAN}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQUAL(rt_jitter_init(jitter, &bad[i]), RT_BAD_ARGUMENT);
    CHECK_EQUAL(jitter->config.clock_hz, CLOCK);
    free(jitter);
}

static void a_clean_link_is_held_25_ms(void)
{
    stream s = {.jitter = make()};
    run(&s, 40, some, 0, 0);
    CHECK(rt_jitter_target_ms(s.jitter) <= 25.0);
    CHECK(s.last.delay_us <= 25000);
    CHECK_EQUAL(s.waited, 0);
    free(s.jitter);
}

static void outages_raise_the_target_and_calm_lowers_it(void)
{
    stream s = {.jitter = make()};
    run(&s, 60, outages, 0, 0);
    double high = rt_jitter_target_ms(s.jitter);
    CHECK(high > 100.0 && high < 200.0);
    int64_t waited = s.waited;
    run(&s, 20, outages, 0, 0);
    CHECK_EQUAL(s.waited, waited); /* it has learnt: nothing is concealed any more */
    run(&s, 240, some, 0, 0);
    CHECK(rt_jitter_target_ms(s.jitter) < 30.0);
    free(s.jitter);
}

static void patience_trades_delay_for_concealment(void)
{
    double before = 0.0;
    for (int i = 0; i < 3; i++) {
        stream s = {.jitter = make()};
        rt_jitter_config config = {CLOCK, 2000, 0.5f * (float)(1 << i)};
        CHECK_EQUAL(rt_jitter_init(s.jitter, &config), RT_OK);
        run(&s, 60, outages, 0, 0);
        CHECK(rt_jitter_target_ms(s.jitter) > 1.3 * before);
        before = rt_jitter_target_ms(s.jitter);
        free(s.jitter);
    }
}

static void a_drifting_clock_is_no_jitter(void)
{
    for (int sign = -1; sign <= 1; sign += 2) {
        stream s = {.jitter = make()};
        run(&s, 400, some, sign * 300.0, 0);
        rt_jitter_stats stats;
        rt_jitter_read_stats(s.jitter, &stats);
        CHECK_NEAR(stats.drift_ppm, sign * 300.0, 45.0);
        CHECK(stats.jitter_ms < 8.0f);
        CHECK(rt_jitter_target_ms(s.jitter) <= 25.0);
        CHECK_EQUAL(stats.rebased, 0);
        free(s.jitter);
    }
}

static void doubled_and_reordered_packets(void)
{
    rt_jitter *jitter = make();
    rt_jitter_stats stats;
    int64_t first = put(jitter, sound(0, 0), RT_JITTER_TAKEN);
    for (long n = 1; n < 200; n++) {
        long swapped = n % 10 == 3 ? n + 1 : n % 10 == 4 ? n - 1 : n;
        CHECK_EQUAL(put(jitter, sound(swapped, n * 20000), RT_JITTER_TAKEN), first + swapped * PACKET); /* wraps in between */
        if (n % 10 == 7)
            put(jitter, sound(n - 2, n * 20000 + 100), RT_JITTER_DOUBLED);
    }
    rt_jitter_read_stats(jitter, &stats);
    CHECK_EQUAL(stats.doubled, 20);
    CHECK_EQUAL(stats.reordered, 20);
    CHECK_EQUAL(stats.lost, 0);
    CHECK_EQUAL(stats.rebased, 0);
    free(jitter);
}

static void events_keep_the_sequence_and_leave_the_rest(void)
{
    stream s = {.jitter = make()};
    run(&s, 4, NULL, 0, 1);
    rt_jitter_stats stats;
    double target = rt_jitter_target_ms(s.jitter);
    rt_jitter_packet event = sound(s.next, s.now);
    event.kind = RT_JITTER_EVENT;
    event.frames = 0;
    for (int i = 0; i < 10; i++, event.sequence++, event.arrival_us += 20000)
        put(s.jitter, event, RT_JITTER_TAKEN); /* one time stamp for the whole event */
    put(s.jitter, sound(s.next + 10, s.now + 200000), RT_JITTER_TAKEN);
    rt_jitter_read_stats(s.jitter, &stats);
    CHECK_EQUAL(stats.lost, 0);
    CHECK_EQUAL(stats.rebased, 0);
    CHECK_NEAR(rt_jitter_target_ms(s.jitter), target, 1e-9);
    CHECK(s.jitter->quiet_until - s.jitter->quiet_from == 10 * PACKET);
    free(s.jitter);
}

/* Another source, or time stamps from elsewhere: the line goes on behind the newest sound, what the link taught stays. */
static void a_jump_starts_the_base_again(void)
{
    for (int kind = 0; kind < 3; kind++) {
        stream s = {.jitter = make()};
        run(&s, 60, outages, 0, 1);
        double target = rt_jitter_target_ms(s.jitter);
        rt_jitter_stats stats;
        rt_jitter_decision decision;
        rt_jitter_packet packet = sound(s.next, s.now);
        packet.ssrc += kind == 0;
        packet.timestamp += kind == 1 ? 2000000000u : kind == 2 ? (uint32_t)-100000 : 0;
        CHECK_EQUAL(put(s.jitter, packet, RT_JITTER_REBASED), s.end);
        CHECK_NEAR(rt_jitter_target_ms(s.jitter), target, 1e-9);
        packet.timestamp += PACKET, packet.sequence++, packet.arrival_us += 20000;
        CHECK_EQUAL(put(s.jitter, packet, RT_JITTER_TAKEN), s.end + PACKET);
        rt_jitter_read_stats(s.jitter, &stats);
        CHECK_EQUAL(stats.rebased, 1);
        int64_t head = (int64_t)s.head; /* what waits is played out, then the target is waited for again */
        CHECK(head < s.end);
        CHECK_EQUAL(rt_jitter_decide(s.jitter, packet.arrival_us, head, s.end + 2 * PACKET - head, 0, 1, &decision), RT_JITTER_PLAY);
        CHECK_EQUAL(rt_jitter_decide(s.jitter, packet.arrival_us, s.end, 2 * PACKET, 0, 1, &decision), RT_JITTER_START);
        int64_t later = packet.arrival_us + (int64_t)(1000.0 * target);
        CHECK_EQUAL(rt_jitter_decide(s.jitter, later, s.end, 2 * PACKET, 0, 1, &decision), RT_JITTER_PLAY);
        free(s.jitter);
    }
}

static void the_next_call_knows_the_link(void)
{
    stream s = {.jitter = make()};
    run(&s, 60, outages, 0, 1);
    double target = rt_jitter_target_ms(s.jitter);
    rt_jitter_rebase(s.jitter);
    CHECK_NEAR(rt_jitter_target_ms(s.jitter), target, 1e-9);
    rt_jitter_packet packet = sound(0, s.now + 600000000);
    packet.ssrc = 99;
    put(s.jitter, packet, RT_JITTER_TAKEN);
    rt_jitter_reset(s.jitter);
    CHECK(rt_jitter_target_ms(s.jitter) < 0.6 * target);
    free(s.jitter);
}

static void packets_of_another_length(void)
{
    rt_jitter *jitter = make();
    rt_jitter_stats stats;
    uint32_t lengths[] = {160, 480, 80, 240, 160}, timestamp = 5;
    uint16_t sequence = 0;
    int64_t now = 0, position = 0;
    for (int kind = 0; kind < 5; kind++)
        for (int n = 0; n < 400; n++) { /* a packet arrives when its sound is complete */
            now += lengths[kind] * 125;
            rt_jitter_packet packet = {now, 1, timestamp, lengths[kind], sequence++, RT_JITTER_SOUND};
            int64_t placed = put(jitter, packet, RT_JITTER_TAKEN);
            CHECK(kind + n == 0 || placed == position);
            position = placed + lengths[kind];
            timestamp += lengths[kind];
        }
    rt_jitter_read_stats(jitter, &stats);
    CHECK_EQUAL(stats.rebased + stats.lost + stats.late, 0);
    CHECK(rt_jitter_target_ms(jitter) < 80.0);
    free(jitter);
}

/* Anything may come: every answer stays in its range, and no arithmetic overflows (seen by UBSan). */
static void nonsense_is_survived(void)
{
    unsigned long long seed = 20251;
    rt_jitter *jitter = make();
    for (int i = 0; i < 200000; i++) {
        int64_t wild = (int64_t)(((uint64_t)check_random(&seed) << 32) | check_random(&seed));
        int64_t mild = (int64_t)i * 5000 + (int64_t)(check_random(&seed) % 3000000);
        rt_jitter_packet packet = {i % 7 ? mild : wild, check_random(&seed) % 50 / 49, check_random(&seed), check_random(&seed),
                                   (uint16_t)check_random(&seed), (uint16_t)(check_random(&seed) % 4)};
        if (i % 3)
            packet.timestamp = (uint32_t)(mild / 125), packet.frames %= 2000, packet.sequence = (uint16_t)i;
        rt_jitter_placed placed;
        rt_jitter_decision decision;
        int verdict = rt_jitter_arrived(jitter, &packet, &placed);
        CHECK(verdict >= RT_JITTER_TAKEN && verdict <= RT_JITTER_REBASED);
        int64_t head = i % 11 ? placed.position - (int64_t)(check_random(&seed) % 5000) : wild;
        int action = rt_jitter_decide(jitter, i % 13 ? mild : -wild, head, i % 5 ? wild % 100000 : wild, wild % 3000, i & 1, &decision);
        CHECK(action >= RT_JITTER_PLAY && action <= RT_JITTER_QUIET);
        CHECK(decision.speed >= 0.5f && decision.speed <= 1.5f);
        CHECK(decision.jump >= 0);
        CHECK(rt_jitter_target_ms(jitter) >= 20.0 && rt_jitter_target_ms(jitter) <= 2000.0);
        if (i % 1000 == 999)
            rt_jitter_rebase(jitter);
    }
    free(jitter);
}

static void a_copy_goes_on_alike(void)
{
    stream one = {.jitter = make()};
    run(&one, 30, outages, 0, 1);
    stream two = one;
    two.jitter = make();
    memcpy(two.jitter, one.jitter, rt_jitter_size());
    run(&one, 30, outages, 0, 0);
    run(&two, 30, outages, 0, 0);
    CHECK(memcmp(one.jitter, two.jitter, sizeof(rt_jitter)) == 0);
    CHECK(one.head == two.head);
    free(one.jitter);
    free(two.jitter);
}

int main(void)
{
    bad_configurations_are_refused();
    a_clean_link_is_held_25_ms();
    outages_raise_the_target_and_calm_lowers_it();
    patience_trades_delay_for_concealment();
    a_drifting_clock_is_no_jitter();
    doubled_and_reordered_packets();
    events_keep_the_sequence_and_leave_the_rest();
    a_jump_starts_the_base_again();
    the_next_call_knows_the_link();
    packets_of_another_length();
    nonsense_is_survived();
    a_copy_goes_on_alike();
    return CHECK_DONE();
}
