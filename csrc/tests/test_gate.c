/* The gate: when it opens and closes, what goes out late, what is held, and that no captured hop is ever sent twice. */
#include "check.h"
#include "gate.h"

/* One gate under test and what its plans have said so far. */
typedef struct bench {
    rt_gate *gate;
    rt_gate_plan plan;
    uint64_t captured, next_sound; /* one past the last captured hop that was sent */
    uint64_t sound, silence, omitted, extra;
} bench;

static const rt_gate_config usual = {RT_GATE_SILENCE, 0.5f, 0.3f, 200, 100, 0};

static void begin(bench *b, const rt_gate_config *config)
{
    memset(b, 0, sizeof *b);
    b->gate = check_memory(rt_gate_size());
    CHECK_EQUAL(rt_gate_init(b->gate, config), RT_OK);
}

static void end(bench *b) { free(b->gate); }

/* Captures one hop, whose samples all carry its number, and checks what must hold for every plan. */
static void step(bench *b, float probability, int hold, int turn_open)
{
    float hop[RT_HOP];
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = (float)b->captured;
    rt_gate_process(b->gate, hop, probability, hold, turn_open, &b->plan);
    b->captured++;
    CHECK(b->plan.sound <= 1 + RT_GATE_BURST && b->plan.silence <= 1);
    CHECK(!(b->plan.sound && b->plan.silence));
    if (b->plan.sound) {
        CHECK(b->plan.first >= b->next_sound);                 /* once, in rising order */
        CHECK(b->plan.first + b->plan.sound <= b->captured);   /* never before it was captured */
        CHECK(b->captured - b->plan.first <= RT_GATE_HISTORY); /* still remembered */
        for (uint32_t i = 0; i < b->plan.sound; i++) {
            const float *samples = rt_gate_hop(b->gate, b->plan.first + i);
            CHECK(samples[0] == (float)(b->plan.first + i) && samples[RT_HOP - 1] == (float)(b->plan.first + i));
        }
        b->next_sound = b->plan.first + b->plan.sound;
        b->extra += b->plan.sound - 1;
    }
    b->sound += b->plan.sound;
    b->silence += b->plan.silence;
    b->omitted += !b->plan.sound && !b->plan.silence;
}

static void steps(bench *b, int count, float probability, int hold, int turn_open)
{
    while (count-- > 0)
        step(b, probability, hold, turn_open);
}

static rt_gate_stats accounts(bench *b)
{
    rt_gate_stats stats;
    rt_gate_read_stats(b->gate, &stats);
    CHECK_EQUAL(stats.hops, b->captured);
    CHECK_EQUAL(stats.sound_hops, b->sound);
    CHECK_EQUAL(stats.silence_hops, b->silence);
    CHECK_EQUAL(stats.omitted_hops, b->omitted);
    CHECK_EQUAL(stats.sound_hops + stats.silence_hops + stats.omitted_hops, stats.hops + b->extra);
    CHECK(stats.sound_hops + stats.held_hops + stats.lost_hops <= stats.hops);
    return stats;
}

static void off_sends_everything(void)
{
    bench b;
    rt_gate_config config = usual;
    config.mode = RT_GATE_OFF;
    begin(&b, &config);
    for (int i = 0; i < 600; i++) {
        step(&b, i % 7 ? 0.0f : 1.0f, RT_HOLD_OFF, 0);
        CHECK(b.plan.sound == 1 && b.plan.first == (uint64_t)i && b.plan.silence == 0);
    }
    CHECK_EQUAL(accounts(&b).sound_hops, 600);
    end(&b);
}

static void silence_mode_opens_and_closes(void)
{
    bench b;
    begin(&b, &usual);
    steps(&b, 50, 0.0f, 0, 0);
    CHECK_EQUAL(b.silence, 50);
    step(&b, 0.6f, 0, 0);
    CHECK_EQUAL(b.plan.silence, 1); /* one loud hop does not open */
    step(&b, 0.49f, 0, 0);
    step(&b, 0.6f, 0, 0);
    CHECK_EQUAL(b.plan.silence, 1);
    uint64_t opened = b.captured;
    step(&b, 0.5f, 0, 0); /* the second in a row: open, pre-roll of 10 hops before this one */
    CHECK_EQUAL(b.plan.first, opened - 10);
    CHECK_EQUAL(b.plan.sound, 9);
    step(&b, 0.3f, 0, 0);
    CHECK_EQUAL(b.plan.first, opened - 1);
    CHECK_EQUAL(b.plan.sound, 3); /* caught up */
    steps(&b, 30, 0.3f, 0, 0); /* between the thresholds it stays open */
    CHECK_EQUAL(b.plan.sound, 1);
    steps(&b, 20, 0.29f, 0, 0); /* hold_ms */
    CHECK_EQUAL(b.plan.sound, 1);
    for (int i = 0; i < 10; i++) { /* closing: what was extra is left out */
        step(&b, 0.29f, 0, 0);
        CHECK(b.plan.sound == 0 && b.plan.silence == 0);
    }
    steps(&b, 20, 0.0f, 0, 0);
    CHECK_EQUAL(b.plan.silence, 1);
    rt_gate_stats stats = accounts(&b);
    CHECK_EQUAL(stats.omitted_hops, 10);
    CHECK_EQUAL(stats.sound_hops + stats.silence_hops, stats.hops); /* the two times meet again */
    CHECK_EQUAL(stats.open, 0);
    end(&b);
}

/* A second opening soon after a closing has less pre-roll, since the rest was sent already. */
static void preroll_is_sent_once(void)
{
    bench b;
    begin(&b, &usual);
    steps(&b, 30, 0.0f, 0, 0);
    steps(&b, 5, 1.0f, 0, 0);
    steps(&b, 23, 0.0f, 0, 0); /* 20 open, 3 closed */
    uint64_t resumed = b.next_sound;
    steps(&b, 3, 1.0f, 0, 0);
    CHECK_EQUAL(b.next_sound, b.captured);
    CHECK_EQUAL(b.sound, b.captured - 21);
    CHECK_EQUAL(resumed, 55);
    accounts(&b);
    end(&b);
}

/* The gate closes with much still due, and opens again before it is out. */
static void late_sound_survives_a_closing(void)
{
    bench b;
    rt_gate_config config = {RT_GATE_SILENCE, 0.5f, 0.3f, 0, 0, 0};
    begin(&b, &config);
    steps(&b, 20, 0.0f, 0, 0);
    steps(&b, 3, 1.0f, 0, 0); /* open with hop 21 */
    steps(&b, 100, 1.0f, RT_HOLD_ON, 0);
    step(&b, 0.0f, RT_HOLD_SEND, 0); /* closed, 23..122 due */
    CHECK_EQUAL(b.plan.first, 23);
    steps(&b, 2, 0.0f, 0, 0);
    CHECK_EQUAL(b.plan.sound, 9);
    steps(&b, 30, 1.0f, 0, 0);
    CHECK_EQUAL(b.next_sound, b.captured);
    CHECK_EQUAL(b.sound, b.captured - 21);
    accounts(&b);
    end(&b);
}

static void pause_mode(void)
{
    bench b;
    rt_gate_config config = {RT_GATE_PAUSE, 0.5f, 0.3f, 100, 50, 1000};
    begin(&b, &config);
    steps(&b, 40, 0.0f, 0, 0);
    CHECK_EQUAL(b.omitted, 40); /* nothing, not even silence */
    steps(&b, 10, 1.0f, 0, 0);
    CHECK_EQUAL(b.next_sound, 50);
    CHECK_EQUAL(b.sound, 10 - 1 + 5);
    steps(&b, 100, 0.0f, 0, 0); /* linger_ms */
    CHECK_EQUAL(b.plan.sound, 1);
    step(&b, 0.0f, 0, 0);
    CHECK(b.plan.sound == 0 && b.plan.silence == 0);
    steps(&b, 10, 1.0f, 0, 0);
    steps(&b, 500, 0.0f, 0, 1); /* a turn is open on the server: it must hear the silence */
    CHECK_EQUAL(b.plan.sound, 1);
    step(&b, 0.0f, 0, 0);
    CHECK_EQUAL(b.plan.sound, 0);
    steps(&b, 20, 0.0f, 0, 1); /* closed, an open turn does not open it */
    CHECK(b.plan.sound == 0 && b.plan.silence == 0);
    CHECK_EQUAL(b.silence, 0);
    accounts(&b);
    end(&b);
}

static rt_gate_config in_mode(int mode)
{
    rt_gate_config config = {mode, 0.5f, 0.3f, 200, 100, 300};
    return config;
}

/* Hold while the gate is open: silence goes out, then what was held, or nothing of it. */
static void hold_while_open(int mode)
{
    bench b;
    rt_gate_config config = in_mode(mode);
    for (int drop = 0; drop < 2; drop++) {
        begin(&b, &config);
        steps(&b, 20, 0.0f, 0, 0);
        steps(&b, 20, 1.0f, 0, 0);
        CHECK_EQUAL(b.next_sound, 40);
        uint64_t before = b.sound, silent = b.silence;
        steps(&b, 15, 1.0f, RT_HOLD_ON, 0);
        CHECK_EQUAL(b.sound, before);
        CHECK_EQUAL(b.silence, silent + 15);
        step(&b, 1.0f, drop ? RT_HOLD_DROP : RT_HOLD_SEND, 0);
        CHECK_EQUAL(b.plan.first, drop ? 55 : 40);
        CHECK_EQUAL(b.plan.sound, drop ? 1 : 9);
        steps(&b, 5, 1.0f, 0, 0);
        CHECK_EQUAL(b.next_sound, b.captured);
        CHECK_EQUAL(b.sound - before, drop ? 6 : 21);
        CHECK_EQUAL(accounts(&b).held_hops, drop ? 15 : 0);
        steps(&b, 100, 0.0f, 0, 0);
        if (mode == RT_GATE_SILENCE)
            CHECK_EQUAL(b.sound + b.silence, b.captured);
        accounts(&b);
        end(&b);
    }
}

/* Hold beginning while the gate is closed: the pre-roll is held as well, whether or not the gate opens in the meantime. */
static void hold_while_closed(int mode, float probability, int closing_hops)
{
    bench b;
    rt_gate_config config = in_mode(mode);
    for (int drop = 0; drop < 2; drop++) {
        begin(&b, &config);
        steps(&b, 60, 0.0f, 0, 0);
        uint64_t silent = b.silence;
        steps(&b, 30, probability, RT_HOLD_ON, 0);
        steps(&b, closing_hops, 0.0f, RT_HOLD_ON, 0);
        CHECK_EQUAL(b.sound, 0);
        CHECK_EQUAL(b.silence, silent + 30 + (uint64_t)closing_hops); /* in PAUSE too: the server must hear the gap */
        uint64_t held = 40 + (uint64_t)closing_hops;
        step(&b, 0.0f, drop ? RT_HOLD_DROP : RT_HOLD_SEND, 0);
        if (!drop) {
            CHECK_EQUAL(b.plan.first, 50);
            CHECK_EQUAL(b.plan.sound, 9);
        }
        steps(&b, 200, 0.0f, 0, 0);
        rt_gate_stats stats = accounts(&b);
        CHECK_EQUAL(stats.held_hops, drop ? held : 0);
        if (!drop)
            CHECK(b.sound >= held); /* all of it went out */
        else if (closing_hops)
            CHECK_EQUAL(b.sound, 0);
        if (mode == RT_GATE_SILENCE)
            CHECK_EQUAL(b.sound + b.silence, b.captured);
        end(&b);
    }
}

static void too_long_a_hold_is_lost_and_counted(void)
{
    bench b;
    rt_gate_config config = in_mode(RT_GATE_OFF);
    begin(&b, &config);
    steps(&b, 10, 0.0f, 0, 0);
    steps(&b, 300, 0.0f, RT_HOLD_ON, 0); /* hops 10..309; 256 are remembered */
    step(&b, 0.0f, RT_HOLD_SEND, 0);
    CHECK_EQUAL(b.plan.first, 311 - 256);
    steps(&b, 60, 0.0f, 0, 0);
    rt_gate_stats stats = accounts(&b);
    CHECK_EQUAL(stats.lost_hops, 311 - 256 - 10);
    CHECK_EQUAL(stats.sound_hops + stats.lost_hops, stats.hops);
    end(&b);
}

static void a_closed_gate_loses_nothing_it_meant_to_send(void)
{
    bench b;
    begin(&b, &usual);
    steps(&b, 3000, 0.0f, 0, 0);
    CHECK_EQUAL(accounts(&b).lost_hops, 0);
    end(&b);
}

static void bad_arguments(void)
{
    rt_gate *gate = check_memory(rt_gate_size());
    rt_gate_config config = usual;
#define REFUSED(field, value)                                                                                                             \
    config = usual, config.field = (value);                                                                                               \
    CHECK_EQUAL(rt_gate_init(gate, &config), RT_BAD_ARGUMENT)
    REFUSED(mode, 3);
    REFUSED(mode, -1);
    REFUSED(open_threshold, 1.01f);
    REFUSED(open_threshold, NAN);
    REFUSED(open_threshold, 0.2f); /* below close_threshold */
    REFUSED(close_threshold, -0.1f);
    REFUSED(close_threshold, NAN);
    REFUSED(hold_ms, 10001);
    REFUSED(preroll_ms, 501);
    REFUSED(linger_ms, 60001);
#undef REFUSED
    CHECK_EQUAL(rt_gate_latency(gate), 0);
    free(gate);
}

static int chance(unsigned long long *seed, unsigned percent) { return check_random(seed) % 100 < percent; }

/* Whatever is asked of it, in any order: step() holds the invariants, accounts() the sums. */
static void random_walk(unsigned long long seed)
{
    bench b;
    unsigned long long state = seed;
    rt_gate_config config = {(int)(check_random(&state) % 3), 0.6f, 0.4f, 0, 0, 0};
    config.hold_ms = 10 * (check_random(&state) % 40);
    config.preroll_ms = 10 * (check_random(&state) % 51);
    config.linger_ms = 10 * (check_random(&state) % 60);
    begin(&b, &config);
    rt_gate *copy = check_memory(rt_gate_size());
    int hold = RT_HOLD_OFF, turn_open = 0, holds = 0;
    float probability = 0.0f;
    for (int i = 0; i < 2000; i++) {
        if (chance(&state, 10))
            probability = (float)(check_random(&state) % 101) / 100.0f;
        if (chance(&state, 3))
            turn_open = !turn_open;
        if (hold == RT_HOLD_ON)
            hold = chance(&state, 5) ? RT_HOLD_OFF + (int)(check_random(&state) % 4) : RT_HOLD_ON;
        else
            hold = chance(&state, 4) ? RT_HOLD_ON : chance(&state, 2) ? RT_HOLD_DROP : RT_HOLD_OFF;
        holds += hold != RT_HOLD_OFF;
        memcpy(copy, b.gate, rt_gate_size());
        step(&b, probability, hold, turn_open);
        CHECK(b.gate->ahead <= b.extra); /* a debt, never below nothing */
        if (config.mode == RT_GATE_SILENCE)
            CHECK_EQUAL(b.gate->ahead, b.extra - b.omitted);
        CHECK(b.gate->cursor <= b.captured && b.gate->limit <= b.captured);
        rt_gate_plan again;
        float hop[RT_HOP];
        for (int k = 0; k < RT_HOP; k++)
            hop[k] = (float)(b.captured - 1);
        rt_gate_process(copy, hop, probability, hold, turn_open, &again);
        CHECK(again.first == b.plan.first && again.sound == b.plan.sound && again.silence == b.plan.silence);
    }
    rt_gate_stats stats = accounts(&b);
    if (config.mode == RT_GATE_OFF) { /* every hop is sent, dropped, lost, or still due */
        uint64_t due = b.captured - b.gate->cursor;
        CHECK_EQUAL(stats.sound_hops + stats.held_hops + stats.lost_hops + due, stats.hops);
    }
    CHECK(holds > 60);
    free(copy);
    end(&b);
}

static void reset_begins_again(void)
{
    bench b;
    begin(&b, &usual);
    steps(&b, 40, 1.0f, 0, 0);
    rt_gate_reset(b.gate);
    rt_gate *fresh = check_memory(rt_gate_size());
    rt_gate_init(fresh, &usual);
    CHECK(memcmp(fresh, b.gate, rt_gate_size()) == 0);
    free(fresh);
    end(&b);
}

int main(void)
{
    off_sends_everything();
    silence_mode_opens_and_closes();
    preroll_is_sent_once();
    late_sound_survives_a_closing();
    pause_mode();
    for (int mode = RT_GATE_OFF; mode <= RT_GATE_PAUSE; mode++)
        hold_while_open(mode);
    for (int mode = RT_GATE_SILENCE; mode <= RT_GATE_PAUSE; mode++) {
        hold_while_closed(mode, 1.0f, 0);
        hold_while_closed(mode, 1.0f, 60); /* closed again before the hold ends */
        hold_while_closed(mode, 0.4f, 5);  /* never open */
    }
    too_long_a_hold_is_lost_and_counted();
    a_closed_gate_loses_nothing_it_meant_to_send();
    bad_arguments();
    reset_begins_again();
    unsigned long long seed = 4711;
    printf("seed %llu\n", seed);
    for (int i = 0; i < 12; i++)
        random_walk(seed + (unsigned long long)i * 1000003u);
    return CHECK_DONE();
}
