/* What the paced rule has played in each hop: sound, silence, something made up, faster, slower or skipped. */
#include "jitter_bench.h"

static void it_starts_with_the_first_target_at_hand(void)
{
    rt_jitter *jitter = make();
    rt_jitter_decision decision;
    CHECK_EQUAL(rt_jitter_decide(jitter, 0, 0, 0, 0, 1, &decision), RT_JITTER_START);
    double first = rt_jitter_target_ms(jitter);
    CHECK(first > 20.0 && first <= 60.0);
    int64_t position = put(jitter, sound(0, 1000000), RT_JITTER_TAKEN);
    CHECK_EQUAL(position, rt_jitter_start(jitter));
    int64_t waits = (int64_t)(first * 1000.0);
    CHECK_EQUAL(rt_jitter_decide(jitter, 1000000 + waits - 1000, position, PACKET, 0, 1, &decision), RT_JITTER_START);
    CHECK_EQUAL(rt_jitter_decide(jitter, 1000000 + waits + 1000, position, PACKET, 0, 1, &decision), RT_JITTER_PLAY);
    free(jitter);
}

static void a_hole_is_lost_and_what_fills_it_later_is_late(void)
{
    stream s = {.jitter = make()};
    run(&s, 4, NULL, 0, 1);
    rt_jitter_decision decision;
    rt_jitter_stats stats;
    long missing = s.next;
    for (long n = missing + 1; n < missing + 4; n++)
        put(s.jitter, sound(n, s.now += 20000), RT_JITTER_TAKEN);
    int64_t head = s.end;
    CHECK_EQUAL(rt_jitter_decide(s.jitter, s.now, head, 0, PACKET, 1, &decision), RT_JITTER_LOST);
    CHECK_EQUAL(decision.jump, 0);
    CHECK_EQUAL(rt_jitter_decide(s.jitter, s.now += TICK, head + 80, 0, PACKET - 80, 1, &decision), RT_JITTER_LOST);
    CHECK_EQUAL(rt_jitter_decide(s.jitter, s.now += TICK, head + PACKET, 3 * PACKET, 0, 1, &decision), RT_JITTER_PLAY);
    rt_jitter_read_stats(s.jitter, &stats);
    CHECK_EQUAL(stats.lost, 1);
    put(s.jitter, sound(missing, s.now), RT_JITTER_LATE);
    rt_jitter_read_stats(s.jitter, &stats);
    CHECK_EQUAL(stats.late, 1);
    free(s.jitter);
}

/* What was waited for and never came is passed over when later sound comes: it was concealed once. */
static void what_was_waited_for_is_not_concealed_twice(void)
{
    stream s = {.jitter = make()};
    run(&s, 4, NULL, 0, 1);
    rt_jitter_decision decision;
    for (int tick = 0; tick < 6; tick++)
        CHECK_EQUAL(rt_jitter_decide(s.jitter, s.now += TICK, s.end, 0, 0, 1, &decision), RT_JITTER_WAIT);
    put(s.jitter, sound(s.next + 2, s.now), RT_JITTER_TAKEN);
    CHECK_EQUAL(rt_jitter_decide(s.jitter, s.now, s.end, 0, 2 * PACKET, 1, &decision), RT_JITTER_PLAY);
    CHECK_EQUAL(decision.jump, 2 * PACKET);
    CHECK_EQUAL(decision.skipped, 0);
    free(s.jitter);
}

static void silence_of_the_sender_is_no_loss(void)
{
    stream s = {.jitter = make()};
    run(&s, 4, NULL, 0, 1);
    rt_jitter_decision decision;
    rt_jitter_stats stats;
    rt_jitter_packet packet = sound(s.next, s.now); /* time stamps leap half a second, sequence numbers do not */
    packet.timestamp += CLOCK / 2;
    packet.arrival_us = s.now += 500000;
    CHECK_EQUAL(put(s.jitter, packet, RT_JITTER_TAKEN), s.end + CLOCK / 2);
    CHECK_EQUAL(rt_jitter_decide(s.jitter, s.now, s.end, 0, CLOCK / 2, 0, &decision), RT_JITTER_QUIET);
    packet.sequence++;
    packet.timestamp += PACKET;
    packet.kind = RT_JITTER_NOISE;
    packet.frames = 0;
    packet.arrival_us = s.now += 20000;
    int64_t end = put(s.jitter, packet, RT_JITTER_TAKEN);
    for (int tick = 0; tick < 30; tick++) /* after comfort noise nothing is expected */
        CHECK_EQUAL(rt_jitter_decide(s.jitter, s.now += TICK, end + tick * 80, 0, 0, 0, &decision), RT_JITTER_QUIET);
    rt_jitter_read_stats(s.jitter, &stats);
    CHECK_EQUAL(stats.lost, 0);
    CHECK_EQUAL(stats.late, 0);
    free(s.jitter);
}

static void above_the_most_the_oldest_is_skipped(void)
{
    stream s = {.jitter = make()};
    run(&s, 4, NULL, 0, 1);
    rt_jitter_decision decision;
    int64_t now = s.now + 5000000;
    for (long n = s.next; n < s.next + 250; n++)
        s.end = put(s.jitter, sound(n, now), RT_JITTER_TAKEN) + PACKET;
    int64_t head = (int64_t)s.head;
    CHECK_EQUAL(rt_jitter_decide(s.jitter, now, head, s.end - head, 0, 1, &decision), RT_JITTER_PLAY);
    CHECK_EQUAL(decision.skipped, 1);
    CHECK_NEAR((double)decision.delay_us - (double)decision.jump * 125.0, 2e6, 1000.0);
    free(s.jitter);
}

/* The speed at a playhead `delay_us` above the fastest packet with half a second at hand. */
static double speed_at(stream *s, double delay_us, int64_t at_hand, int speech)
{
    rt_jitter_decision decision;
    int64_t head = (int64_t)(((double)(s->now - s->origin) - delay_us) / 125.0) + rt_jitter_start(s->jitter);
    CHECK_EQUAL(rt_jitter_decide(s->jitter, s->now, head, at_hand, 0, speech, &decision), RT_JITTER_PLAY);
    CHECK_NEAR(decision.delay_us, delay_us, 5000.0);
    return (double)decision.speed;
}

static void speed_follows_the_distance_from_the_target(void)
{
    stream s = {.jitter = make()};
    run(&s, 60, outages, 0, 0);
    run(&s, 10, NULL, 0, 0);
    double target = 1000.0 * rt_jitter_target_ms(s.jitter);
    CHECK(target > 100000.0);
    CHECK_NEAR(speed_at(&s, target, CLOCK / 2, 1), 1.0, 1e-6);
    CHECK_NEAR(speed_at(&s, 0.3 * target, CLOCK / 2, 1), 0.94, 0.011);
    CHECK(speed_at(&s, 0.3 * target, CLOCK / 2, 0) < 0.75); /* a pause gives more */
    CHECK(speed_at(&s, 4.0 * target, CLOCK / 2, 0) > 1.25);
    double faster = speed_at(&s, 4.0 * target, CLOCK / 2, 1);
    CHECK(faster > 1.05 && faster < 1.19);
    rt_jitter_decision decision; /* just after a wait nothing is hurried */
    int64_t end = (int64_t)s.head;
    CHECK_EQUAL(rt_jitter_decide(s.jitter, s.now, end, 0, 0, 1, &decision), RT_JITTER_WAIT);
    CHECK_NEAR(speed_at(&s, 4.0 * target, CLOCK / 2, 0), 1.0, 1e-6);
    s.now += 10000000;
    put(s.jitter, sound(500000, s.now), RT_JITTER_REBASED);
    free(s.jitter);
}

static void it_slows_before_it_runs_dry(void)
{
    stream s = {.jitter = make()};
    run(&s, 60, outages, 0, 0);
    run(&s, 10, NULL, 0, 0);
    double target = 1000.0 * rt_jitter_target_ms(s.jitter);
    s.now += 100000; /* nothing came for 100 ms, and 10 ms are at hand, at a delay that calls for nothing else */
    CHECK(speed_at(&s, target, 80, 0) < 0.75);
    CHECK(speed_at(&s, target, 80, 1) < 0.95);
    int slowed = 0;
    for (int hop = 0; hop < 1000; hop++) {
        s.jitter->concealed = 60000.0; /* as if no more had been concealed: what may be slowed in speech has an end */
        slowed += speed_at(&s, target, 80, 1) < 0.99;
    }
    CHECK(slowed < 200);
    free(s.jitter);
}

int main(void)
{
    it_starts_with_the_first_target_at_hand();
    a_hole_is_lost_and_what_fills_it_later_is_late();
    what_was_waited_for_is_not_concealed_twice();
    silence_of_the_sender_is_no_loss();
    above_the_most_the_oldest_is_skipped();
    speed_follows_the_distance_from_the_target();
    it_slows_before_it_runs_dry();
    return CHECK_DONE();
}
