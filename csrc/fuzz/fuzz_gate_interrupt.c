/* Interrupt and gate as the capture half joins them, with any probabilities and generations, and with any holds. */
#include "fuzz.h"
#include "gate.h"
#include "interrupt.h"

typedef struct bench {
    rt_gate *gate;
    rt_interrupt *interrupt;
    rt_gate_config gate_config;
    rt_interrupt_config config;
    uint64_t hops, sent, sound, silence, sounding; /* sounding: hops in which sound was sent */
    uint32_t playing, newest, latch, ducked_hops;
    int turn_open, ducked;
} bench;

static float next_share(input *in)
{
    uint32_t choice = next_byte(in);
    return choice < 250 ? (float)choice / 249.0f : next_float(in);
}

static rt_gate_config next_gate(input *in)
{
    rt_gate_config config = {(int)next_in(in, 0, 3) - (next_byte(in) > 250), next_share(in), 0.0f, 0, 0, 0};
    config.close_threshold = config.open_threshold * next_share(in);
    config.hold_ms = next_byte(in) > 250 ? next_word(in) : next_in(in, 0, 400);
    config.preroll_ms = next_in(in, 0, 510);
    config.linger_ms = next_byte(in) > 250 ? next_word(in) : next_in(in, 0, 900);
    return config;
}

static rt_interrupt_config next_interrupt(input *in)
{
    rt_interrupt_config config = {(int)next_in(in, 0, 4) - (next_byte(in) > 250), next_share(in), 0, 0, next_share(in)};
    config.confirm_ms = next_in(in, 5, 1005);
    config.restore_ms = next_in(in, 5, 2005);
    return config;
}

static int share(float x) { return x >= 0.0f && x <= 1.0f; }

static int sound_configs(const rt_gate_config *g, const rt_interrupt_config *c)
{
    return g->mode >= 0 && g->mode <= 2 && share(g->open_threshold) && share(g->close_threshold) &&
           g->close_threshold <= g->open_threshold && g->hold_ms <= 10000 && g->preroll_ms <= 500 &&
           c->policy >= 0 && c->policy <= 3 && share(c->threshold) && share(c->sure) && c->confirm_ms >= 10 && c->confirm_ms <= 1000 &&
           g->linger_ms <= 60000 && c->restore_ms >= 10 && c->restore_ms <= 2000;
}

/* What interrupt.h promises of one hop. */
static void check_result(bench *b, const rt_interrupt_result *r, int speech)
{
    int holds = b->config.policy <= RT_POLICY_LOCAL, confirmed = r->change & RT_CHANGE_CONFIRMED;
    EXPECT(r->latch >= b->latch && r->latch <= b->newest && r->duck <= b->newest);
    EXPECT(r->latch == b->latch || confirmed);
    EXPECT(!confirmed || (holds && r->latch == b->newest && r->duck == r->latch));
    EXPECT(b->config.policy != RT_POLICY_NEVER || (r->duck == 0 && r->change == 0));
    EXPECT((r->hold == RT_HOLD_OFF || holds) || r->change & (RT_CHANGE_RESTORED | RT_CHANGE_RELEASED));
    if (r->change & RT_CHANGE_DUCKED) {
        EXPECT(!b->ducked && speech && b->playing != 0);
        b->ducked = 1;
        b->ducked_hops = 0;
    }
    if (b->ducked) {
        b->ducked_hops++;
        EXPECT(!holds || b->ducked_hops <= 200);
        EXPECT(!confirmed || b->ducked_hops >= (b->config.confirm_ms + 9) / 10 || b->ducked_hops == 200);
        EXPECT(!(r->change & RT_CHANGE_RESTORED) || b->ducked_hops > b->config.restore_ms / 10);
        EXPECT(!(r->change & RT_CHANGE_RESTORED) || r->hold == RT_HOLD_DROP);
        EXPECT(!(r->change & RT_CHANGE_RELEASED) || (b->playing == 0 && r->hold == RT_HOLD_SEND));
    } else {
        EXPECT((r->change & ~RT_CHANGE_DUCKED) == 0 && r->hold == RT_HOLD_OFF);
    }
    b->ducked = b->ducked && !(r->change & ~RT_CHANGE_DUCKED);
    EXPECT((r->hold == RT_HOLD_ON) == (b->ducked && holds));
    b->latch = r->latch;
}

/* What gate.h promises of one plan: within its bounds, no hop twice or out of order, and each as it was captured. */
static void check_plan(bench *b, const rt_gate_plan *plan)
{
    EXPECT(plan->sound <= 1 + RT_GATE_BURST && plan->silence <= 1);
    EXPECT(plan->first >= b->sent && plan->first + plan->sound <= b->hops);
    EXPECT(plan->sound == 0 || plan->first + RT_GATE_HISTORY >= b->hops);
    for (uint64_t hop = plan->first; hop < plan->first + plan->sound; hop++)
        EXPECT(rt_gate_hop(b->gate, hop)[0] == (float)hop && rt_gate_hop(b->gate, hop)[RT_HOP - 1] == (float)hop);
    b->sent = plan->first + plan->sound;
    b->sound += plan->sound;
    b->silence += plan->silence;
    b->sounding += plan->sound > 0;
}

static void check_stats(const bench *b)
{
    rt_gate_stats s;
    rt_gate_read_stats(b->gate, &s);
    EXPECT(s.hops == b->hops && s.sound_hops == b->sound && s.silence_hops == b->silence);
    EXPECT(b->sounding + b->silence + s.omitted_hops == s.hops);
    uint64_t known = s.sound_hops + s.held_hops + s.lost_hops;
    EXPECT(known <= b->sent);
    EXPECT(b->gate_config.mode != RT_GATE_OFF || known == b->sent);
    /* but in PAUSE, what is sent never falls behind what is captured */
    EXPECT(b->gate_config.mode == RT_GATE_PAUSE || s.sound_hops + s.silence_hops >= s.hops);
}

static void hop(bench *b, float probability, int any_hold)
{
    float samples[RT_HOP];
    rt_interrupt_result result = {0, 0, 0, 0};
    rt_gate_plan plan;
    for (int i = 0; i < RT_HOP; i++)
        samples[i] = (float)b->hops;
    memset(&result, RUBBISH, sizeof result);
    rt_interrupt_process(b->interrupt, probability, b->playing, b->newest, &result);
    check_result(b, &result, probability >= b->config.threshold && probability > 0.0f);
    rt_gate_process(b->gate, samples, probability, any_hold >= 0 ? any_hold : result.hold, b->turn_open, &plan);
    b->hops++;
    check_plan(b, &plan);
    check_stats(b);
}

static void reset(bench *b)
{
    rt_gate_reset(b->gate);
    rt_interrupt_reset(b->interrupt);
    b->hops = b->sent = b->sound = b->silence = b->sounding = 0;
    b->latch = b->newest = b->playing = 0;
    b->ducked = 0;
}

static void run(bench *b, input *in)
{
    while (in->left > 0) {
        uint32_t op = next_byte(in), count;
        switch (op % 8) {
        case 0:
            b->newest += next_in(in, 1, 3);
            break;
        case 1:
            b->playing = next_in(in, 0, 3);
            b->playing = b->playing > b->newest ? 0 : b->playing == 0 ? 0 : b->newest - b->playing + 1;
            break;
        case 2:
            b->turn_open = op >> 3 & 1;
            break;
        case 3:
            hop(b, next_float(in), -1);
            break;
        case 5:
            if (op > 0xF0)
                reset(b);
            break;
        default:
            count = next_in(in, 1, 64);
            for (float p = next_share(in); count > 0; count--)
                hop(b, p, op % 8 == 4 ? (int)(op >> 3) % 6 : -1);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    input in = {bytes, count};
    bench b = {.gate = rough_memory(rt_gate_size()), .interrupt = rough_memory(rt_interrupt_size())};
    b.gate_config = next_gate(&in);
    b.config = next_interrupt(&in);
    int gate = rt_gate_init(b.gate, &b.gate_config), interrupt = rt_interrupt_init(b.interrupt, &b.config);
    EXPECT((gate == RT_OK && interrupt == RT_OK) == sound_configs(&b.gate_config, &b.config));
    EXPECT(gate == RT_OK || untouched(b.gate, rt_gate_size()));
    EXPECT(interrupt == RT_OK || untouched(b.interrupt, rt_interrupt_size()));
    if (gate == RT_OK && interrupt == RT_OK)
        run(&b, &in);
    free(b.gate);
    free(b.interrupt);
    return 0;
}
