/* The user's stages: order, bypass, swaps without a click, when a replaced one may be freed, copies, broken sound, both halves. */
#include "duplex_bench.h"

#include <pthread.h>
#include <sched.h>

/* A stage that scales, counts its calls, and knows whether it may still be called. */
typedef struct gain {
    float factor;
    uint32_t calls;
    uint32_t order; /* when it was last called, from `clock` */
    uint32_t *clock;
    int freed;
} gain;

static void scale(void *state, float *block, uintptr_t n)
{
    gain *g = state;
    CHECK(!g->freed && n == RT_HOP);
    for (uintptr_t i = 0; i < n; i++)
        block[i] *= g->factor;
    g->calls++;
    if (g->clock != NULL)
        g->order = ++*g->clock;
}

static void add_one(void *state, float *block, uintptr_t n)
{
    (void)state;
    for (uintptr_t i = 0; i < n; i++)
        block[i] += 1.0f;
}

static void spoil(void *state, float *block, uintptr_t n)
{
    (void)n;
    block[0] = NAN;
    block[1] = INFINITY;
    block[2] = -1e30f;
    block[3] = *(float *)state;
}

static rt_stages *empty(void)
{
    rt_stages *s = check_memory(rt_stages_size());
    CHECK_EQUAL(rt_stages_init(s), RT_OK);
    return s;
}

static void fill(float *hop, float value)
{
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = value;
}

static void an_empty_chain_touches_nothing(void)
{
    rt_stages *s = empty();
    float hop[RT_HOP], before[RT_HOP];
    for (int i = 0; i < RT_HOP; i++)
        before[i] = hop[i] = noise_at(i) * 100.0f;
    CHECK_EQUAL(rt_stages_process(s, hop), 0);
    CHECK(memcmp(hop, before, sizeof hop) == 0);
    CHECK(rt_stages_posted(s) == 0 && rt_stages_passed(s) == 0);
    free(s);
}

static void stages_run_in_order(void)
{
    rt_stages *s = empty();
    gain twice = {.factor = 2.0f};
    rt_stage list[] = {{scale, &twice, 100, 0}, {NULL, NULL, 0, 0}, {add_one, NULL, 7, 0}};
    CHECK_EQUAL(rt_stages_set(s, list, 3), RT_OK);
    CHECK_EQUAL(rt_stages_latency(s), 107);
    float hop[RT_HOP];
    fill(hop, 1.0f);
    CHECK_EQUAL(rt_stages_process(s, hop), 1); /* in along the fade */
    fill(hop, 1.0f);
    CHECK_EQUAL(rt_stages_process(s, hop), 1);
    CHECK(hop[0] == 3.0f && hop[RT_HOP - 1] == 3.0f); /* 2x + 1 */
    rt_stage turned[] = {list[2], list[0]};
    rt_stages_set(s, turned, 2);
    for (int i = 0; i < 3; i++) {
        fill(hop, 1.0f);
        rt_stages_process(s, hop);
    }
    CHECK(hop[0] == 4.0f && hop[RT_HOP - 1] == 4.0f); /* 2(x + 1) */
    CHECK_EQUAL(twice.calls, 5); /* once in every hop, that of its move too */
    free(s);
}

static void refusals_change_nothing(void)
{
    rt_stages *s = empty();
    gain g = {.factor = 2.0f};
    rt_stage list[RT_STAGE_SLOTS + 1] = {{0}};
    CHECK_EQUAL(rt_stages_set(s, list, RT_STAGE_SLOTS + 1), RT_BAD_ARGUMENT);
    list[0] = list[1] = (rt_stage){scale, &g, 0, 0};
    CHECK_EQUAL(rt_stages_set(s, list, 2), RT_BAD_ARGUMENT); /* one state twice */
    list[1] = (rt_stage){add_one, NULL, RT_STAGE_LATENCY + 1, 0};
    CHECK_EQUAL(rt_stages_set(s, list, 2), RT_BAD_ARGUMENT);
    list[1] = (rt_stage){add_one, NULL, 0, 2};
    CHECK_EQUAL(rt_stages_set(s, list, 2), RT_BAD_ARGUMENT);
    list[0] = list[1] = (rt_stage){add_one, NULL, RT_STAGE_LATENCY, 0};
    CHECK_EQUAL(rt_stages_posted(s), 0);
    CHECK_EQUAL(rt_stages_set(s, list, 2), RT_OK); /* without state, twice is well */
    CHECK_EQUAL(rt_stages_latency(s), 2 * RT_STAGE_LATENCY);
    free(s);
}

/* A low tone through every kind of change: no step between samples larger than the tone's own and the fade's. */
static void no_change_clicks(void)
{
    rt_stages *s = empty();
    gain a = {.factor = 2.0f}, b = {.factor = 0.25f}, c = {.factor = -1.0f};
    rt_stage A = {scale, &a, 0, 0}, B = {scale, &b, 0, 0}, C = {scale, &c, 0, 0}, A_off = {scale, &a, 0, 1};
    rt_stage lists[][3] = {{A}, {B}, {A, B}, {B, A}, {A_off, B}, {A, B}, {C, A, B}, {B, C, A}, {A}, {C}, {A_off}, {A}, {{0}}};
    float last = 0.0f, most = 0.0f;
    uint64_t at = 0;
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++) {
        CHECK_EQUAL(rt_stages_set(s, lists[list], 3), RT_OK);
        for (int hop_number = 0; hop_number < 4; hop_number++) {
            uint32_t calls[] = {a.calls, b.calls, c.calls};
            float hop[RT_HOP];
            for (int i = 0; i < RT_HOP; i++)
                hop[i] = 0.25f * sinf(2.0f * (float)PI * (float)((at + i) % 1200) / 1200.0f); /* 20 Hz */
            rt_stages_process(s, hop);
            CHECK(a.calls - calls[0] <= 1 && b.calls - calls[1] <= 1 && c.calls - calls[2] <= 1); /* a state never runs twice */
            for (int i = 0; i < RT_HOP; last = hop[i++])
                most = fabsf(hop[i] - last) > most ? fabsf(hop[i] - last) : most;
            at += RT_HOP;
        }
        CHECK_EQUAL(rt_stages_passed(s), list + 1);
    }
    /* largest change is by 3 (from 2 to -1) of a quarter, along a cosine: 0.75 * pi / 2 / 240 = .0049, and the tone's own .0026 */
    CHECK(most < 0.0076f && most > 0.001f);
    free(s);
}

static void bypass_keeps_the_stage_warm(void)
{
    rt_stages *s = empty();
    gain g = {.factor = 0.0f};
    rt_stage on = {scale, &g, 50, 0}, off = {scale, &g, 50, 1};
    float hop[RT_HOP];
    rt_stages_set(s, &off, 1);
    CHECK_EQUAL(rt_stages_latency(s), 0);
    for (int i = 0; i < 3; i++) {
        fill(hop, 0.5f);
        rt_stages_process(s, hop);
        CHECK(hop[0] == 0.5f && hop[RT_HOP - 1] == 0.5f);
    }
    CHECK_EQUAL(g.calls, 3); /* it heard all of it */
    rt_stages_set(s, &on, 1);
    CHECK_EQUAL(rt_stages_latency(s), 50);
    fill(hop, 0.5f);
    rt_stages_process(s, hop);
    CHECK(hop[0] > 0.49f && hop[RT_HOP - 1] < 0.01f && g.calls == 4);
    free(s);
}

static void a_stage_is_passed_after_its_last_hop(void)
{
    rt_stages *s = empty();
    gain old = {.factor = 1.0f}, other = {.factor = 1.0f}, young = {.factor = 1.0f};
    rt_stage list = {scale, &old, 0, 0};
    float hop[RT_HOP] = {0};
    rt_stages_set(s, &list, 1);
    CHECK(rt_stages_posted(s) == 1 && rt_stages_passed(s) == 0);
    rt_stages_process(s, hop);
    CHECK_EQUAL(rt_stages_passed(s), 1);
    list.state = &other;
    rt_stages_set(s, &list, 1); /* never taken: the next is newer */
    list.state = &young;
    rt_stages_set(s, &list, 1);
    CHECK(rt_stages_posted(s) == 3 && rt_stages_passed(s) == 1);
    rt_stages_process(s, hop);
    CHECK(rt_stages_passed(s) == 3 && old.calls == 2 && other.calls == 0 && young.calls == 1);
    old.freed = other.freed = 1;
    for (int i = 0; i < 3; i++)
        rt_stages_process(s, hop);
    gain moved = {.factor = 1.0f};
    rt_stage two[] = {{scale, &young, 0, 0}, {scale, &moved, 0, 0}}, turned[] = {two[1], two[0]};
    rt_stages_set(s, two, 2);
    rt_stages_process(s, hop);
    rt_stages_set(s, turned, 2);
    rt_stages_process(s, hop);
    CHECK_EQUAL(rt_stages_passed(s), 4); /* both are on the way to their new slots */
    rt_stages_process(s, hop);
    CHECK_EQUAL(rt_stages_passed(s), 5);
    rt_stages_set(s, NULL, 0);
    rt_stages_settle(s); /* no thread runs */
    CHECK_EQUAL(rt_stages_passed(s), 6);
    young.freed = moved.freed = 1;
    CHECK_EQUAL(rt_stages_process(s, hop), 0);
    free(s);
}

static void a_copy_runs_no_stages(void)
{
    rt_stages *s = empty(), *copy = check_memory(rt_stages_size());
    gain g = {.factor = 2.0f};
    rt_stage list = {scale, &g, 0, 0};
    float hop[RT_HOP];
    rt_stages_set(s, &list, 1);
    fill(hop, 0.5f);
    rt_stages_process(s, hop);
    memcpy(copy, s, rt_stages_size());
    fill(hop, 0.5f);
    CHECK_EQUAL(rt_stages_process(copy, hop), 0);
    CHECK(hop[0] == 0.5f && g.calls == 1);
    rt_stages_reset(copy); /* now it is one of its own */
    rt_stages_set(copy, &list, 1);
    CHECK_EQUAL(rt_stages_process(copy, hop), 1);
    free(copy);
    free(s);
}

static void broken_sound_is_held(void)
{
    rt_stages *s = empty();
    float rest = 0.5f;
    rt_stage list = {spoil, &rest, 0, 0};
    rt_stages_set(s, &list, 1);
    float hop[RT_HOP];
    for (int i = 0; i < 2; i++) {
        fill(hop, 0.25f);
        rt_stages_process(s, hop);
    }
    CHECK(hop[0] == 0.0f && hop[1] == RT_STAGE_PEAK && hop[2] == -RT_STAGE_PEAK && hop[3] == 0.5f && hop[4] == 0.25f);
    CHECK_EQUAL(rt_stages_broken(s), 2);
    free(s);
}

static void where_they_stand_in_the_halves(void)
{
    rt_duplex_config config = usual();
    room *r = enter(&config, 240000);
    gain silence = {.factor = 0.0f}, half = {.factor = 0.5f};
    rt_stage mute = {scale, &silence, 24, 0}, quieter = {scale, &half, 48, 0};
    double capture_before = rt_capture_latency(r->d, RT_HOP), playback_before = rt_playback_latency(r->d, RT_HOP);
    rt_stages_set(rt_duplex_capture_stages(r->d), &mute, 1);
    rt_stages_set(rt_duplex_playback_stages(r->d), &quieter, 1);
    CHECK_NEAR(rt_capture_latency(r->d, RT_HOP) - capture_before, 24.0, 1e-9);
    CHECK_NEAR(rt_playback_latency(r->d, RT_HOP) - playback_before, 48.0, 1e-9);
    for (int i = 0; i < 20; i++)
        hop(r, 0);
    CHECK_NEAR(peak(r), 0.25, 0.001);
    int confirmed = 0;
    for (int i = 0; i < 10; i++) {
        hop(r, 1); /* the detector hears what the stage takes away */
        confirmed |= saw(r, RT_EVENT_CONFIRMED, 1);
        for (uint32_t k = 0; k < r->record_count; k++)
            CHECK(is_silent_record(&r->records[k]));
    }
    CHECK(confirmed && peak(r) < 0.0625f * 1.01f && peak(r) > 0.0f); /* ducked by four after the stage, and fading */
    CHECK(silence.calls == r->hop && half.calls == r->hop);
    leave(r);
}

/* What a playback stage adds while the queue is silent is ducked and comes back without a jump. */
static void gain_does_not_jump_under_a_stage_that_sounds(void)
{
    rt_duplex_config config = usual();
    room *r = enter(&config, 2400);
    rt_playout_complete(rt_duplex_playout(r->d), 1);
    rt_stage list = {add_one, NULL, 0, 0};
    for (int i = 0; i < 9; i++)
        hop(r, 0);
    rt_stages_set(rt_duplex_playback_stages(r->d), &list, 1);
    float last = r->out[RT_HOP - 1], most = 0.0f;
    rt_duplex_set_volume(r->d, 0.25f);
    for (int i = 0; i < 20; i++) {
        hop(r, i < 4); /* ducked, the reply ends, and the gain returns */
        if (i == 10)
            rt_duplex_set_volume(r->d, 0.5f);
        for (int k = 0; k < RT_HOP; last = r->out[k++])
            most = fabsf(r->out[k] - last) > most ? fabsf(r->out[k] - last) : most;
    }
    CHECK_NEAR(r->out[0], 0.5, 1e-6);
    CHECK(most < 0.05f); /* the tone's own steps are .04 */
    leave(r);
}

/* A loop thread that swaps, bypasses and frees while the audio thread runs. A freed state that is called fails the test; under
 * -fsanitize=thread so does a relaxed store of `passed` (tried with gcc 12). */
typedef struct runner {
    rt_stages *s;
    _Atomic int stop;
    uint32_t hops;
    float most; /* step between samples of a constant sound */
} runner;

static void *audio(void *argument)
{
    runner *r = argument;
    float hop[RT_HOP], last = 0.5f;
    while (!atomic_load(&r->stop)) {
        fill(hop, 0.5f);
        rt_stages_process(r->s, hop);
        for (int i = 0; i < RT_HOP; last = hop[i++])
            r->most = fabsf(hop[i] - last) > r->most ? fabsf(hop[i] - last) : r->most;
        r->hops++;
    }
    return NULL;
}

static void swapping_under_a_running_thread(void)
{
    enum { STATES = 3000 };
    runner r = {.s = empty()};
    gain *states = calloc(STATES, sizeof *states);
    uint32_t number[STATES] = {0};
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, audio, &r), 0);
    unsigned long long seed = 11;
    uint32_t freed = 0, seen = 0;
    for (uint32_t i = 0; i < STATES; i++) {
        states[i].factor = 0.5f + (float)(check_random(&seed) % 100) / 200.0f; /* up to 1 */
        uint32_t bypass = check_random(&seed) % 4 == 0;
        rt_stage list[3] = {{scale, &states[i], 0, 0}};
        if (i > 0)
            list[1 + i % 2] = (rt_stage){scale, &states[i - 1], 0, bypass}; /* it moves, stays, leaves */
        CHECK_EQUAL(rt_stages_set(r.s, list, 3), RT_OK);
        number[i] = rt_stages_posted(r.s);
        for (uint32_t passed = rt_stages_passed(r.s); freed + 2 <= i && number[freed + 2] <= passed; freed++)
            states[freed] = (gain){.factor = NAN, .freed = 1}; /* a call fails its check, and is a race */
        while (i % 5 == 0 && rt_stages_passed(r.s) < number[i])
            sched_yield();
        seen += rt_stages_passed(r.s) == number[i];
    }
    atomic_store(&r.stop, 1);
    pthread_join(thread, NULL);
    CHECK(freed > STATES - 20 && seen >= STATES / 5);
    CHECK(r.most < 0.01f); /* 0.5 * 3/4 over a hop, along a cosine, is .0025 per fade; three slots at once */
    CHECK(r.hops > STATES / 5);
    free(states);
    free(r.s);
}

int main(void)
{
    an_empty_chain_touches_nothing();
    stages_run_in_order();
    refusals_change_nothing();
    no_change_clicks();
    bypass_keeps_the_stage_warm();
    a_stage_is_passed_after_its_last_hop();
    a_copy_runs_no_stages();
    broken_sound_is_held();
    where_they_stand_in_the_halves();
    gain_does_not_jump_under_a_stage_that_sounds();
    swapping_under_a_running_thread();
    return CHECK_DONE();
}
