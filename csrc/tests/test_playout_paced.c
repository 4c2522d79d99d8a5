/* The paced policy of the playout: what is heard, how long it waits, and that every sample is accounted for. */
#include "paced_bench.h"

/* Where in what was heard the sound is found, by the least difference; *error is its root mean square. */
static uint32_t find(const link *l, uint32_t first, uint32_t frames, uint32_t from, uint32_t till, double *error)
{
    uint32_t best = from;
    *error = 1e9;
    for (uint32_t at = from; at < till; at++) {
        double sum = 0.0;
        for (uint32_t i = 0; i < frames && sum < *error * *error * frames; i++)
            sum += pow(l->out[at + i] - sound[first + i] / 32768.0, 2.0);
        if (sqrt(sum / frames) < *error) {
            *error = sqrt(sum / frames);
            best = at;
        }
    }
    return best;
}

static double steepest(const float *out, uint32_t frames)
{
    double most = 0.0;
    for (uint32_t i = 1; i < frames; i++)
        most = fmax(most, fabs((double)out[i] - out[i - 1]));
    return most;
}

static void a_clean_link_is_heard_as_it_was_sent(void)
{
    link *l = make_link(&paced_pcm);
    send_paced(l, 3000, 3000);
    run(l, 60.0);
    double error;
    uint32_t at = find(l, 50 * RT_RATE, 4800, 50 * RT_RATE, 50 * RT_RATE + 4800, &error);
    CHECK(error < 2e-5);
    rt_playout_stats s = stats_of(l);
    CHECK_EQUAL(s.concealed_samples, 0);
    CHECK_EQUAL(s.discarded, 0);
    CHECK_EQUAL(s.underruns, 0);
    /* the sample at 50 s was sent in the packet that arrived with the sample 20 ms later, 3 ms after that */
    double waited = (at - 50 * RT_RATE) / 24.0 - 20.0 - 3.0 - rt_playout_latency(l->p) / 24.0;
    CHECK(waited >= 0.0 && waited <= 25.0);
    CHECK(s.jitter_buffer_delay / (double)s.jitter_buffer_emitted_count / 24.0 < 45.0);
    free_link(l);
}

/* The sound says where it is from. On a clean link what counts as played is what was heard, to the sample, and an interruption ends it. */
static void played_is_what_was_heard(int fade_ms, double after)
{
    rt_playout_config config = paced_pcm;
    config.fade_ms = (uint32_t)fade_ms;
    link *l = make_link(&config);
    int16_t kept[SOUND / 4];
    memcpy(kept, sound, sizeof kept);
    for (int i = 0; i < SOUND / 4; i++)
        sound[i] = (int16_t)(i % 60000 - 30000); /* a rise of one step a sample, for 2.5 s */
    send_paced(l, 100, 0);
    run(l, after);
    rt_playout_stats s = stats_of(l);
    int64_t last = lrintf(l->out[l->heard - 1] * 32768.0f) + 30000 + 1;
    CHECK_EQUAL(s.played, last);
    l->latch = 1;
    run(l, 0.5);
    rt_playout_stats t = stats_of(l);
    CHECK_EQUAL(t.played, s.played);
    CHECK_EQUAL(t.interruptions, 1);
    CHECK(t.faded > 0 && t.faded <= (uint64_t)fade_ms * PCM_MS + rt_playout_latency(l->p) + 1);
    for (uint32_t i = (uint32_t)fade_ms * PCM_MS; i < RT_RATE / 2; i++)
        CHECK(l->out[l->heard - RT_RATE / 2 + i] == 0.0f);
    memcpy(sound, kept, sizeof kept);
    free_link(l);
}

static void order_and_copies_do_not_matter(void)
{
    link *ordered = make_link(&paced_pcm), *mixed = make_link(&paced_pcm);
    for (uint32_t n = 0; n < 400; n++) { /* both links have packets that come 25 ms late, the second has them in another order */
        int64_t due = 20000 * (int64_t)(n + 1);
        int late = n % 4 == 3;
        send_sound(ordered, n, n * 480, 480, due + (late ? 25000 : 0));
        send_sound(mixed, n, n * 480, 480, due + (late ? 25000 : 0));
        if (n % 5 == 0)
            send_sound(mixed, n, n * 480, 480, due + 26000);
    }
    for (uint32_t n = 0; n < 400; n++) /* in order: those behind a late one wait for it */
        for (uint32_t k = n; k > 0 && ordered->packets[k].first < ordered->packets[k - 1].first; k--) {
            sent other = ordered->packets[k - 1];
            ordered->packets[k - 1] = ordered->packets[k];
            ordered->packets[k] = other;
        }
    run(ordered, 8.5);
    run(mixed, 8.5);
    double error;
    rt_playout_link link_stats;
    find(mixed, 4 * RT_RATE, 24000, 4 * RT_RATE, 4 * RT_RATE + 4800, &error);
    CHECK(error < 2e-5);
    find(ordered, 4 * RT_RATE, 24000, 4 * RT_RATE, 4 * RT_RATE + 4800, &error);
    CHECK(error < 2e-5);
    CHECK_EQUAL(rt_playout_read_link(mixed->p, &link_stats), RT_OK);
    CHECK_EQUAL(link_stats.doubled, 80);
    CHECK(link_stats.reordered > 50 && link_stats.lost == 0);
    free_link(ordered);
    free_link(mixed);
}

static void losses_are_made_up_without_a_click(double share)
{
    link *whole = make_link(&paced_pcm), *lossy = make_link(&paced_pcm);
    unsigned long long seed = 77;
    uint32_t lost = 0;
    send_paced(whole, 1000, 0);
    send_paced(lossy, 1000, 0);
    for (uint32_t n = 50; n < 980; n++) {
        lossy->packets[n].lost = check_random(&seed) < share * 4294967296.0;
        lost += lossy->packets[n].lost;
    }
    run(whole, 20.0);
    run(lossy, 20.0);
    rt_playout_stats s = stats_of(lossy);
    rt_playout_link link_stats;
    rt_playout_read_link(lossy->p, &link_stats);
    CHECK_EQUAL(link_stats.lost, lost);
    CHECK(s.concealed_samples >= lost * 20 * PCM_MS * 9 / 10 && s.concealed_samples <= lost * 30 * PCM_MS + 4800);
    CHECK(steepest(lossy->out, lossy->heard) <= 1.2 * steepest(whole->out, whole->heard));
    /* the end is as late as without losses: what is lost takes the time it would have taken */
    double error;
    uint32_t at = find(whole, 19 * RT_RATE, 2400, 19 * RT_RATE, 19 * RT_RATE + 9600, &error);
    CHECK(error < 2e-5);
    CHECK(fabs((double)find(lossy, 19 * RT_RATE, 2400, 19 * RT_RATE, 19 * RT_RATE + 9600, &error) - at) < 40 * PCM_MS);
    free_link(whole);
    free_link(lossy);
}

/* An outage: all that was sent meanwhile comes at once, the delay grows by it and is taken back, mostly in pauses. */
static void an_outage_is_waited_for_and_made_up(void)
{
    link *l = make_link(&paced_pcm);
    send_paced(l, 2500, 0);
    for (uint32_t n = 500; n < 520; n++)
        l->packets[n].packet.arrival_us = 20000 * 520;
    run(l, 50.0);
    rt_playout_stats s = stats_of(l);
    CHECK(s.underruns >= 1 && s.underruns <= 3);
    CHECK(s.concealed_samples > 300 * PCM_MS && s.concealed_samples < 450 * PCM_MS);
    CHECK(s.stalled_samples > 0);
    CHECK(s.removed_samples_for_acceleration > 200 * PCM_MS);
    CHECK_EQUAL(s.discarded, 0);
    double error;
    find(l, 48 * RT_RATE, 2400, 48 * RT_RATE, 48 * RT_RATE + 200 * PCM_MS, &error);
    CHECK(error < 0.02); /* the delay is back */
    free_link(l);
}

/* Discontinuous transmission: time stamps leap, sequence numbers do not. Nothing is missing, so nothing is made up. */
static void a_silent_sender_is_no_loss(void)
{
    link *l = make_link(&paced_pcm);
    for (uint32_t n = 0, number = 0; n < 1000; n++)
        if (n < 120 || n % 60 < 40) {
            sent *s = send_sound(l, number++, n * 480, 480, 20000 * (int64_t)(n + 1));
            if (n >= 120 && n % 60 == 39) /* the last before the gap is comfort noise, at -40 dB */
                s->packet.kind = RT_JITTER_NOISE;
        }
    int16_t level = 40;
    for (uint32_t n = 159; n < 1000; n += 60)
        sound[n * 480] = level;
    run(l, 20.0);
    rt_playout_stats s = stats_of(l);
    CHECK(s.concealed_samples < 100 * PCM_MS);
    CHECK(s.discarded <= 15 * 24); /* 15 times what the resampler held when the sender fell silent: 1 ms */
    double sum = 0.0;
    for (uint32_t i = 0; i < 200 * PCM_MS; i++)
        sum += pow(l->out[(159 * 20 + 150) * PCM_MS + i], 2.0);
    CHECK_NEAR(10.0 * log10(sum / (200 * PCM_MS)), -40.0, 1.0);
    make_voice();
    free_link(l);
}

/* Hold or transfer: another source, another clock. The delay learnt stays, no burst of old sound, no click, nothing lost. */
static void another_source_goes_on(void)
{
    link *l = make_link(&paced_pcm);
    send_paced(l, 1000, 0);
    for (uint32_t n = 500; n < 1000; n++) {
        l->packets[n].packet.ssrc = 99;
        l->packets[n].packet.timestamp += 0x9abcdef0u;
        l->packets[n].packet.sequence = (uint16_t)(n * 3 % 65536 == 0 ? 1 : n - 500 + 17);
        l->packets[n].packet.arrival_us += 700000;
    }
    run(l, 21.0);
    rt_playout_stats s = stats_of(l);
    rt_playout_link link_stats;
    rt_playout_read_link(l->p, &link_stats);
    CHECK_EQUAL(link_stats.rebased, 1);
    CHECK(s.discarded <= 24); /* what the resampler held while nothing came */
    double error;
    find(l, 15 * RT_RATE, 2400, 15 * RT_RATE + 600 * PCM_MS, 15 * RT_RATE + 900 * PCM_MS, &error);
    CHECK(error < 0.02);
    free_link(l);
}

/* A sender whose clock is 200 ppm fast, over 130 s: 26 ms. Followed by the resampler, so that little is stretched. */
static void drift_is_followed(double ppm)
{
    link *l = make_link(&paced_pcm);
    for (uint32_t n = 0; n < 6500; n++)
        send_sound(l, n, n * 480, 480, (int64_t)(20000.0 * (n + 1) / (1.0 + ppm * 1e-6)));
    run(l, 129.0);
    rt_playout_link link_stats;
    rt_playout_stats s = stats_of(l);
    rt_playout_read_link(l->p, &link_stats);
    CHECK_NEAR(link_stats.tuned_ppm, ppm, 40.0);
    CHECK_EQUAL(s.concealed_samples, 0);
    CHECK(s.removed_samples_for_acceleration + s.inserted_samples_for_deceleration < 100 * PCM_MS); /* 61 at the start */
    free_link(l);
}

static void after_an_interruption_the_next_reply_is_heard(void)
{
    link *l = make_link(&paced_pcm);
    rt_playout_open(l->p, 2);
    send_paced(l, 500, 0);
    for (uint32_t n = 200; n < 500; n++) {
        l->packets[n].item = 2;
        l->packets[n].generation = 2;
    }
    run(l, 3.0);
    l->latch = 1; /* 3.0 to 4.0 s is of the dead generation still */
    run(l, 1.0);
    for (uint32_t i = 2 * RT_HOP; i < RT_RATE; i++)
        CHECK(l->out[3 * RT_RATE + i] == 0.0f);
    run(l, 6.5);
    rt_playout_item row;
    CHECK_EQUAL(rt_playout_read_item(l->p, 1, &row), RT_OK);
    CHECK_EQUAL(row.queued, 200 * 480);
    CHECK_EQUAL(row.played + row.faded + row.discarded, row.queued);
    CHECK(row.discarded > 40 * 480);
    double error;
    find(l, 8 * RT_RATE, 2400, 8 * RT_RATE, 8 * RT_RATE + 2400, &error);
    CHECK(error < 2e-5);
    free_link(l);
}

static void an_item_ends_when_its_end_came_and_all_has_left(void)
{
    link *l = make_link(&paced_pcm);
    rt_playout_item row;
    send_paced(l, 50, 0);
    run(l, 1.01);
    rt_playout_complete(l->p, 1);
    run_hop(l);
    CHECK_EQUAL(rt_playout_read_item(l->p, 1, &row), RT_OK);
    CHECK_EQUAL(row.ended, 0);
    run(l, 0.2);
    CHECK_EQUAL(rt_playout_read_item(l->p, 1, &row), RT_OK);
    CHECK_EQUAL(row.ended, 1);
    CHECK_EQUAL(row.played, 50 * 480);
    rt_playout_stats s = stats_of(l);
    CHECK_EQUAL(s.state, RT_SILENT);
    CHECK_EQUAL(s.concealed_samples, 0);
    CHECK_EQUAL(rt_playout_retire(l->p, 1), RT_OK);
    free_link(l);
}

/* Whatever comes, in any order, with any header: nothing is counted twice, nothing is lost from the count, nothing is not a number. */
static void anything_may_come(unsigned long long seed, int format)
{
    rt_playout_config config = paced_pcm;
    config.format = format;
    link *l = make_link(&config);
    uint32_t generation = 1, number = 0;
    rt_playout_item row;
    for (int n = 0; n < 3000; n++) {
        unsigned r = check_random(&seed);
        uint32_t frames = 1 + check_random(&seed) % (r & 1 ? 500 : 6000);
        sent s = {{l->now_us - (int64_t)(check_random(&seed) % 30000), r & 8 ? 1 : 2, 0, frames, 0, RT_JITTER_SOUND}, 1 + generation, generation, 0, 0};
        number += r & 16 ? check_random(&seed) % 40 : 1;
        s.packet.sequence = (uint16_t)number;
        s.packet.timestamp = r & 32 ? check_random(&seed) : number * 480;
        s.packet.kind = (uint16_t)(check_random(&seed) % 20 ? 0 : check_random(&seed) % 3);
        if (rt_playout_waiting(l->p) + frames < 24000 * 2)
            push(l, &s);
        if (check_random(&seed) % 50 == 0) {
            rt_playout_complete(l->p, 1 + generation);
            l->latch = check_random(&seed) % 3 ? l->latch : generation;
            rt_playout_open(l->p, ++generation);
        }
        rt_playout_clock(l->p, l->now_us);
        run_hop(l);
        l->now_us += check_random(&seed) % 40 ? 0 : 300000 - (int64_t)(check_random(&seed) % 400000);
        for (uint32_t i = l->heard - RT_HOP; i < l->heard; i++)
            CHECK(isfinite(l->out[i]) && fabsf(l->out[i]) < 4.0f);
        for (uint32_t item = 1; item < 1 + generation; item++)
            rt_playout_retire(l->p, item);
        l->heard = l->heard > SOUND ? 0 : l->heard;
    }
    l->latch = generation;
    rt_playout_complete(l->p, 1 + generation);
    run(l, 1.0);
    CHECK_EQUAL(rt_playout_waiting(l->p), 0);
    if (rt_playout_read_item(l->p, 1 + generation, &row) == RT_OK)
        CHECK(row.ended);
    free_link(l);
}

static void what_is_wrong_is_refused(void)
{
    rt_playout_config config = paced_pcm;
    rt_jitter_packet packet = {0, 1, 0, 480, 0, RT_JITTER_SOUND};
    config.max_delay_ms = 100;
    CHECK_EQUAL(rt_playout_size(&config), 0);
    config.max_delay_ms = 6000; /* more than it can hold */
    CHECK_EQUAL(rt_playout_size(&config), 0);
    config = paced_pcm;
    config.patience = NAN;
    CHECK_EQUAL(rt_playout_size(&config), 0);
    link *l = make_link(&paced_pcm);
    CHECK_EQUAL(rt_playout_push(l->p, 1, 1, sound, 480), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_push_packet(l->p, 0, 1, &packet, sound, 480), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_push_packet(l->p, 1, 2, &packet, sound, 480), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playout_push_packet(l->p, 1, 1, &packet, sound, 479), RT_BAD_ARGUMENT);
    packet.kind = 3;
    CHECK_EQUAL(rt_playout_push_packet(l->p, 1, 1, &packet, sound, 480), RT_BAD_ARGUMENT);
    packet.kind = RT_JITTER_SOUND;
    packet.frames = 24000 * 5;
    CHECK_EQUAL(rt_playout_push_packet(l->p, 1, 1, &packet, sound, 24000 * 5), RT_OK);
    packet.frames = 1;
    CHECK_EQUAL(rt_playout_push_packet(l->p, 1, 1, &packet, sound, 1), RT_FULL);
    free_link(l);
}

int main(void)
{
    make_voice();
    a_clean_link_is_heard_as_it_was_sent();
    played_is_what_was_heard(20, 1.0);
    played_is_what_was_heard(1, 0.7);
    played_is_what_was_heard(55, 1.23);
    order_and_copies_do_not_matter();
    losses_are_made_up_without_a_click(0.02);
    losses_are_made_up_without_a_click(0.2);
    an_outage_is_waited_for_and_made_up();
    a_silent_sender_is_no_loss();
    another_source_goes_on();
    drift_is_followed(200.0);
    drift_is_followed(-120.0);
    after_an_interruption_the_next_reply_is_heard();
    an_item_ends_when_its_end_came_and_all_has_left();
    for (unsigned long long seed = 1; seed <= 12; seed++)
        anything_may_come(seed, (int)(seed % 3));
    what_is_wrong_is_refused();
    return CHECK_DONE();
}
