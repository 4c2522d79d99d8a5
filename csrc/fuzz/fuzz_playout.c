/* The playout, one hop at a time: the ledger, which source sample sounds when, and silence after an interruption. */
#include "fuzz.h"
#include "ledger.h"
#include "playout.h"

typedef struct bench {
    rt_playout *playout;
    rt_playout_config config;
    ledger ledger;
    uint32_t latch; /* the capture half's */
    uint64_t hops, dead_samples, starvations;
    int dry; /* what was fading ran dry */
    rt_playout_stats before;
} bench;

static rt_playout_config next_config(input *in)
{
    static const uint32_t capacities[8] = {240, 241, 480, 1000, 2400, 4801, 9000, 20000};
    uint32_t format = next_byte(in), wild = next_byte(in);
    rt_playout_config config = {(int)(format % 3), capacities[wild % 8], next_in(in, 1, 200), 0, 0, (int)(format / 3 % 2)};
    config.start_ms = next_in(in, 0, 300);
    config.refill_ms = next_in(in, 0, 300);
    if (wild > 240)
        config.capacity_frames = next_half(in);
    if (wild > 244)
        config.format = (int)next_word(in), config.fade_ms = next_half(in), config.start_ms = next_half(in), config.policy = (int)(next_byte(in) % 3);
    return config;
}

static int fits(const rt_playout_config *c)
{
    return c->format >= 0 && c->format <= 2 && c->capacity_frames >= 240 && c->fade_ms >= 1 && c->fade_ms <= 200 &&
           c->start_ms <= 2000 && c->refill_ms <= 2000 && c->policy <= RT_PLAYOUT_BURST;
}

/* Samples that were played come out as they were pushed, in order, where nothing is stretched. */
static void check_samples(const bench *b, const rt_playout_stats *now, const float *out)
{
    uint64_t played = now->played - b->before.played, taken = now->queued - rt_playout_waiting(b->playout);
    int altered = now->faded != b->before.faded || now->underruns != b->before.underruns;
    altered |= now->discarded != b->before.discarded;
    EXPECT(played <= RT_HOP);
    for (uint64_t i = 0; i < played && !altered && b->config.policy == RT_PLAYOUT_FIXED; i++)
        EXPECT(out[i] == (float)pcm_at(taken - played + i) / 32768.0f);
}

/* Once everything opened is latched: at most the fade, or the rest of a tail, and then nothing. */
static void check_silence(bench *b, uint32_t dead, const float *out)
{
    uint64_t fade = b->config.fade_ms * 24 > RT_EDGE ? b->config.fade_ms * 24 : RT_EDGE;
    if (dead < b->ledger.opened) {
        b->dead_samples = 0;
        return;
    }
    for (int i = 0; i < RT_HOP; i++, b->dead_samples++)
        EXPECT(b->dead_samples < fade || out[i] == 0.0f);
}

/* Neither a fade that ran dry nor a stream that begins (its filter is empty then) lets old sound through. */
static void check_edges(bench *b, const rt_playout_stats *now, const float *out)
{
    EXPECT(!b->dry || now->faded == b->before.faded);
    EXPECT(b->config.format == RT_PCM16 || b->before.state != RT_SILENT || fabsf(out[0]) < 0.01f);
    int straight = b->config.format == RT_PCM16 && b->config.policy == RT_PLAYOUT_FIXED;
    int short_hop = straight && now->faded - b->before.faded < RT_HOP;
    b->dry = now->state == RT_FADING && (b->dry || short_hop || now->concealed_samples > b->before.concealed_samples);
}

static void check_counts(bench *b, const rt_playout_stats *now)
{
    uint64_t ratio = b->config.format == RT_PCM16 ? 1 : 3, lag = b->config.format == RT_PCM16 ? 0 : 24;
    b->starvations += now->state == RT_STARVED && b->before.state != RT_STARVED;
    EXPECT(now->output == b->hops * RT_HOP);
    EXPECT(now->interruptions - b->before.interruptions <= 1 && now->underruns - b->before.underruns <= 1);
    EXPECT(now->faded <= now->interruptions * (b->config.fade_ms * 24 / ratio + lag));
    EXPECT(now->concealed_samples <= RT_EDGE * (b->starvations + now->underruns + now->interruptions));
}

static void hop(void *context)
{
    bench *b = context;
    float *out = rough_memory(RT_HOP * sizeof *out);
    uint32_t dead = b->latch > b->ledger.latched ? b->latch : b->ledger.latched;
    uint32_t generation = rt_playout_process(b->playout, b->latch, out);
    rt_playout_stats now;
    b->hops++;
    EXPECT(rt_playout_read_stats(b->playout, &now) == RT_OK && now.generation == generation);
    EXPECT(generation <= b->ledger.opened && (generation == 0 || generation > dead || now.state == RT_FADING));
    for (int i = 0; i < RT_HOP; i++)
        EXPECT(fabsf(out[i]) <= (b->config.format != RT_PCM16 ? 6.0f : b->config.policy == RT_PLAYOUT_FIXED ? 1.0f : 1.42f));
    if (b->config.format == RT_PCM16)
        check_samples(b, &now, out);
    check_silence(b, dead, out);
    check_edges(b, &now, out);
    check_counts(b, &now);
    ledger_check(&b->ledger, dead);
    b->before = now;
    free(out);
}

static void run(bench *b, input *in)
{
    while (in->left > 0 && b->hops < 2000) {
        uint32_t op = next_byte(in);
        if (op < 0x60)
            ledger_operate(&b->ledger, in);
        else if (op < 0x68)
            b->latch = b->ledger.opened;
        else
            for (uint32_t n = op < 0xF0 ? 1 : op % 16 * 4; n > 0; n--)
                hop(b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    input in = {bytes, count};
    rt_playout_config config = next_config(&in);
    size_t size = rt_playout_size(&config);
    EXPECT((size > 0) == fits(&config));
    bench b = {.playout = rough_memory(size ? size : sizeof(rt_playout)), .config = config};
    if (size == 0) {
        EXPECT(rt_playout_init(b.playout, &config) == RT_BAD_ARGUMENT && untouched(b.playout, sizeof *b.playout));
    } else {
        EXPECT(rt_playout_init(b.playout, &config) == RT_OK);
        b.ledger = ledger_of(b.playout, &config);
        EXPECT(rt_playout_read_stats(b.playout, &b.before) == RT_OK);
        EXPECT(b.before.state == RT_SILENT && b.before.queued == 0);
        run(&b, &in);
        ledger_drain(&b.ledger, hop, &b, 200 + config.capacity_frames / 80);
    }
    free(b.playout);
    return 0;
}
