#include "gate.h"

#include <string.h>

#define HOP_MS 10u

size_t rt_gate_size(void) { return RT_ALIGN64(sizeof(rt_gate)); }

int rt_gate_valid(const rt_gate_config *config)
{
    return config->mode >= RT_GATE_OFF && config->mode <= RT_GATE_PAUSE && config->hold_ms <= 10000 && config->preroll_ms <= 500 &&
           config->linger_ms <= 60000 && config->open_threshold >= 0.0f && config->open_threshold <= 1.0f &&
           config->close_threshold >= 0.0f && config->close_threshold <= config->open_threshold;
}

int rt_gate_init(rt_gate *gate, const rt_gate_config *config)
{
    if (!rt_gate_valid(config))
        return RT_BAD_ARGUMENT;
    memset(gate, 0, sizeof *gate);
    gate->config = *config;
    gate->hold_hops = config->hold_ms / HOP_MS;
    gate->preroll_hops = config->preroll_ms / HOP_MS;
    gate->linger_hops = config->linger_ms / HOP_MS;
    rt_gate_reset(gate);
    return RT_OK;
}

void rt_gate_reset(rt_gate *gate)
{
    gate->open = gate->config.mode == RT_GATE_OFF;
    gate->holding = gate->talk = 0;
    gate->loud_hops = gate->quiet_hops = 0;
    gate->now = gate->cursor = gate->limit = gate->ahead = 0;
    memset(&gate->stats, 0, sizeof gate->stats);
    memset(gate->history, 0, sizeof gate->history);
}

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* From where sound may still be sent when the gate opens, or a hold begins, at hop `now`. */
static uint64_t with_preroll(const rt_gate *gate, uint64_t now)
{
    return later(gate->cursor, now > gate->preroll_hops ? now - gate->preroll_hops : 0);
}

static int wants_open(const rt_gate *gate, int turn_open)
{
    if (gate->config.mode == RT_GATE_OFF || gate->talk)
        return 1;
    if (!gate->open)
        return gate->loud_hops >= 2;
    if (gate->quiet_hops <= gate->hold_hops)
        return 1;
    return gate->config.mode == RT_GATE_PAUSE && (turn_open || gate->quiet_hops <= gate->linger_hops);
}

static void follow_speech(rt_gate *gate, float probability)
{
    gate->loud_hops = probability >= gate->config.open_threshold ? gate->loud_hops + 1 : 0;
    if (probability >= gate->config.close_threshold && probability > 0.0f)
        gate->quiet_hops = 0;
    else if (gate->quiet_hops < UINT32_MAX)
        gate->quiet_hops++;
}

static void follow_hold(rt_gate *gate, int hold, uint64_t now)
{
    if (hold == RT_HOLD_ON && !gate->holding) {
        gate->holding = 1;
        /* While the gate is closed the pre-roll has not been sent either, so it is held with the rest. */
        if (gate->open)
            gate->limit = now;
        else if (gate->cursor >= gate->limit)
            gate->limit = gate->cursor = with_preroll(gate, now);
    } else if (hold == RT_HOLD_DROP && gate->holding) {
        gate->holding = 0;
        gate->stats.held_hops += now - later(gate->cursor, gate->limit);
        gate->stats.lost_hops += gate->cursor < gate->limit ? gate->limit - gate->cursor : 0;
        gate->cursor = now;
    } else if (hold != RT_HOLD_ON && gate->holding) {
        gate->holding = 0;
        gate->limit = now; /* the gate may have closed in the meantime: what was held is sent all the same */
    }
}

static void follow_gate(rt_gate *gate, int turn_open, uint64_t now)
{
    int open = wants_open(gate, turn_open);
    /* sound that is still due goes first, and what lies between with it */
    if (open && !gate->open && !gate->holding && gate->cursor >= gate->limit)
        gate->cursor = gate->talk ? now : with_preroll(gate, now);
    if (!open && gate->open && !gate->holding)
        gate->limit = now;
    gate->open = open;
    gate->stats.open = open;
}

static void forget_oldest(rt_gate *gate)
{
    uint64_t oldest = gate->now > RT_GATE_HISTORY ? gate->now - RT_GATE_HISTORY : 0;
    if (gate->cursor >= oldest)
        return;
    uint64_t wanted = gate->open || gate->holding ? gate->now : gate->limit;
    if (gate->cursor < wanted)
        gate->stats.lost_hops += (wanted < oldest ? wanted : oldest) - gate->cursor;
    gate->cursor = oldest;
}

static void make_plan(rt_gate *gate, int turn_open, rt_gate_plan *plan)
{
    uint64_t until = gate->holding || !gate->open ? gate->limit : gate->now;
    uint64_t due = until > gate->cursor ? until - gate->cursor : 0;
    plan->first = gate->cursor;
    plan->sound = (uint32_t)(due < 1 + RT_GATE_BURST ? due : 1 + RT_GATE_BURST);
    plan->silence = 0;
    gate->cursor += plan->sound;
    if (plan->sound > 0) {
        gate->ahead += plan->sound - 1;
    } else if (gate->holding) {
        plan->silence = 1;
    } else if (gate->config.mode == RT_GATE_PAUSE) {
        gate->ahead = 0; /* nothing is sent for a while, so the two times part anyway */
    } else if (gate->ahead > 0 && !turn_open) {
        gate->ahead--; /* not while the server counts silence towards the end of a turn: that would put it off */
    } else {
        plan->silence = 1;
    }
    gate->stats.sound_hops += plan->sound;
    gate->stats.silence_hops += plan->silence;
    gate->stats.omitted_hops += plan->sound == 0 && plan->silence == 0;
    gate->stats.settled = gate->holding || gate->cursor < until ? gate->cursor : gate->now;
}

void rt_gate_process(rt_gate *gate, const float *hop, float probability, int hold, int turn_open, rt_gate_plan *plan) RT_NONBLOCKING
{
    uint64_t now = gate->now;
    memcpy(gate->history[now % RT_GATE_HISTORY], hop, sizeof gate->history[0]);
    follow_speech(gate, probability);
    follow_hold(gate, gate->talk && hold == RT_HOLD_ON ? RT_HOLD_OFF : hold, now);
    follow_gate(gate, turn_open, now);
    gate->now = now + 1;
    gate->stats.hops++;
    forget_oldest(gate);
    make_plan(gate, turn_open, plan);
}

void rt_gate_talk(rt_gate *gate, int talk) RT_NONBLOCKING { gate->talk = talk; }

const float *rt_gate_hop(const rt_gate *gate, uint64_t number) RT_NONBLOCKING { return gate->history[number % RT_GATE_HISTORY]; }

void rt_gate_read_stats(const rt_gate *gate, rt_gate_stats *stats) { *stats = gate->stats; }

uint32_t rt_gate_latency(const rt_gate *gate)
{
    (void)gate;
    return 0;
}
