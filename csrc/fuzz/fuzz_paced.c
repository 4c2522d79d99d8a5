/* The paced playout, one packet and one hop at a time: any header, any order, any time. Each sample is counted once. */
#include "fuzz.h"
#include "playout.h"

typedef struct bench {
    rt_playout *playout;
    rt_playout_config config;
    uint32_t generation, item, latch;
    uint32_t timestamp, sequence;
    int64_t now_us;
    uint64_t hops, pushed, dead_samples;
    int complete;
} bench;

static rt_playout_config next_config(input *in)
{
    rt_playout_config config = {(int)next_in(in, 0, 2), next_in(in, 2000, 30000), next_in(in, 1, 60), 0, 0, RT_PLAYOUT_PACED, 250, 1.0f};
    uint32_t wild = next_byte(in);
    if (wild > 200)
        config.max_delay_ms = next_in(in, 0, 12000), config.patience = next_float(in);
    return config;
}

/* The next of an ordinary stream, or whatever the input says. */
static rt_jitter_packet next_packet(bench *b, input *in, uint32_t frames)
{
    uint32_t wild = next_byte(in);
    b->timestamp += wild & 1 ? next_half(in) : frames;
    b->sequence += wild & 2 ? next_byte(in) : 1;
    rt_jitter_packet packet = {b->now_us, 1, b->timestamp, frames, (uint16_t)b->sequence, RT_JITTER_SOUND};
    if (wild & 4)
        packet.timestamp = next_word(in);
    if (wild & 8)
        packet.sequence = (uint16_t)next_half(in);
    if (wild & 16)
        packet.ssrc = next_byte(in);
    if (wild & 32)
        packet.kind = next_byte(in) % 4;
    if (wild & 64)
        packet.arrival_us += (int64_t)(int32_t)next_word(in) * (wild & 128 ? 4096 : 1);
    return packet;
}

static void push(bench *b, input *in)
{
    uint32_t frames = next_in(in, 0, next_byte(in) > 250 ? 40000 : 700), bytes = b->config.format == RT_PCM16 ? 2 : 1;
    rt_jitter_packet packet = next_packet(b, in, frames);
    uint8_t *samples = rough_memory(frames * bytes + 1);
    memset(samples, next_byte(in), frames * bytes);
    int status = rt_playout_push_packet(b->playout, b->item, b->generation, &packet, samples, frames);
    EXPECT(status == RT_OK || status == RT_FULL || status == RT_BAD_ARGUMENT);
    EXPECT(status != RT_OK || packet.kind <= RT_JITTER_EVENT);
    b->pushed += status == RT_OK && packet.kind == RT_JITTER_SOUND ? frames : 0;
    free(samples);
}

static void hop(bench *b)
{
    float *out = rough_memory(RT_HOP * sizeof *out);
    rt_playout_stats s;
    rt_playout_link link;
    rt_playout_process(b->playout, b->latch, out);
    b->hops++;
    b->now_us += 10000;
    EXPECT(rt_playout_read_stats(b->playout, &s) == RT_OK && rt_playout_read_link(b->playout, &link) == RT_OK);
    EXPECT(s.output == b->hops * RT_HOP && s.queued == b->pushed);
    EXPECT(s.played + s.faded + s.discarded + rt_playout_waiting(b->playout) <= s.queued);
    EXPECT(link.target_ms >= 0.0f && fabsf(link.tuned_ppm) <= 500.0f);
    b->dead_samples = b->latch == b->generation ? b->dead_samples : 0;
    for (int i = 0; i < RT_HOP; i++) {
        EXPECT(isfinite(out[i]) && fabsf(out[i]) < 8.0f);
        /* all that was opened is latched: the fade (comfort noise: a hop), and then nothing */
        EXPECT(b->latch != b->generation || b->dead_samples++ < b->config.fade_ms * 24 + RT_HOP || out[i] == 0.0f);
    }
    free(out);
}

static void next_item(bench *b)
{
    rt_playout_complete(b->playout, b->item);
    rt_playout_open(b->playout, ++b->generation);
    for (uint32_t item = b->item > 70 ? b->item - 70 : 1; item <= b->item; item++)
        rt_playout_retire(b->playout, item);
    b->item++;
}

static void run(bench *b, input *in)
{
    while (in->left > 0 && b->hops < 3000) {
        uint32_t op = next_byte(in);
        if (op < 0x90)
            push(b, in);
        else if (op < 0x94)
            b->latch = b->generation;
        else if (op < 0x98)
            next_item(b);
        else if (op < 0x9C)
            rt_playout_clock(b->playout, b->now_us += (int64_t)(int32_t)next_word(in) / 64);
        else
            for (uint32_t n = op < 0xF0 ? 1 : op % 16 * 4; n > 0; n--)
                hop(b);
    }
}

/* In the end all is latched: nothing waits, nothing sounds, every sample has its place. */
static void finish(bench *b)
{
    rt_playout_stats s;
    b->latch = b->generation;
    for (int n = 0; n < 60; n++)
        hop(b);
    EXPECT(rt_playout_read_stats(b->playout, &s) == RT_OK);
    EXPECT(rt_playout_waiting(b->playout) == 0 && s.played + s.faded + s.discarded <= s.queued);
    EXPECT(s.queued - (s.played + s.faded + s.discarded) <= 700 + 120);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    input in = {bytes, count};
    rt_playout_config config = next_config(&in);
    size_t size = rt_playout_size(&config);
    if (size == 0)
        return 0;
    bench b = {.playout = rough_memory(size), .config = config, .generation = 1, .item = 1};
    EXPECT(rt_playout_init(b.playout, &config) == RT_OK);
    rt_playout_open(b.playout, 1);
    run(&b, &in);
    finish(&b);
    free(b.playout);
    return 0;
}
