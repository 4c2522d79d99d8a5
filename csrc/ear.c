#include "ear.h"

#include "g711.h"
#include "resample.h"
#include "vad.h"

#include <string.h>

enum { NARROW_RATE = 8000, NARROW_HOP = RT_HOP / 3 };

static rt_vad *detector(const rt_ear *ear) { return (rt_vad *)((unsigned char *)(uintptr_t)ear + ear->vad_offset); }

static rt_resample *resampler(const rt_ear *ear)
{
    return (rt_resample *)((unsigned char *)(uintptr_t)ear + ear->resample_offset);
}

size_t rt_ear_size(uint32_t format)
{
    if (format != RT_PCM16 && format != RT_ULAW && format != RT_ALAW)
        return 0;
    size_t both = RT_ALIGN64(sizeof(rt_ear)) + RT_ALIGN64(rt_vad_size());
    return format == RT_PCM16 ? both : both + RT_ALIGN64(rt_resample_size(NARROW_RATE, RT_RATE));
}

int rt_ear_init(rt_ear *ear, uint32_t format)
{
    if (rt_ear_size(format) == 0)
        return RT_BAD_ARGUMENT;
    memset(ear, 0, sizeof *ear);
    ear->format = format;
    ear->vad_offset = (uint32_t)RT_ALIGN64(sizeof(rt_ear));
    int status = rt_vad_init(detector(ear));
    if (format != RT_PCM16) {
        ear->resample_offset = ear->vad_offset + (uint32_t)RT_ALIGN64(rt_vad_size());
        status = status == RT_OK ? rt_resample_init(resampler(ear), NARROW_RATE, RT_RATE) : status;
    }
    return status;
}

void rt_ear_reset(rt_ear *ear)
{
    ear->filled = ear->has_half = 0;
    rt_vad_reset(detector(ear));
    if (ear->resample_offset)
        rt_resample_reset(resampler(ear));
}

uint32_t rt_ear_hops(const rt_ear *ear, uint32_t bytes)
{
    uint64_t samples = ear->format == RT_PCM16 ? ((uint64_t)bytes + ear->has_half) / 2 : (uint64_t)bytes * 3;
    return (uint32_t)((samples + ear->filled) / RT_HOP);
}

/* `hop` is full: its probability, if there is room for it. Returns how many there are then. */
static uint32_t judge(rt_ear *ear, float *probabilities, uint32_t written, uint32_t capacity)
{
    float probability = rt_vad_process(detector(ear), ear->hop);
    ear->filled = 0;
    if (written >= capacity)
        return written;
    probabilities[written] = probability;
    return written + 1;
}

static float sample(uint8_t low, uint8_t high) { return (float)(int16_t)(uint16_t)(low | high << 8) * (1.0f / 32768.0f); }

static uint32_t wide(rt_ear *ear, const uint8_t *wire, uint32_t bytes, float *probabilities, uint32_t capacity)
{
    uint32_t written = 0, at = 0;
    if (ear->has_half && bytes > 0) {
        ear->hop[ear->filled++] = sample(ear->half, wire[at++]);
        ear->has_half = 0;
        if (ear->filled == RT_HOP)
            written = judge(ear, probabilities, written, capacity);
    }
    while (bytes - at >= 2) {
        uint32_t room = RT_HOP - ear->filled, left = (bytes - at) / 2, count = left < room ? left : room;
        float *to = ear->hop + ear->filled;
        for (uint32_t i = 0; i < count; i++)
            to[i] = sample(wire[at + 2 * i], wire[at + 2 * i + 1]);
        at += 2 * count;
        ear->filled += count;
        if (ear->filled == RT_HOP)
            written = judge(ear, probabilities, written, capacity);
    }
    if (at < bytes) {
        ear->half = wire[at];
        ear->has_half = 1;
    }
    return written;
}

static uint32_t narrow(rt_ear *ear, const uint8_t *wire, uint32_t bytes, float *probabilities, uint32_t capacity)
{
    uint32_t written = 0;
    float decoded[NARROW_HOP];
    /* Three samples for each byte: a hop is filled by whole bytes, whatever came before. */
    for (uint32_t at = 0; at < bytes;) {
        uint32_t room = (RT_HOP - ear->filled) / 3, count = bytes - at < room ? bytes - at : room;
        (ear->format == RT_ULAW ? rt_ulaw_decode_float : rt_alaw_decode_float)(wire + at, decoded, count);
        ear->filled += rt_resample_process(resampler(ear), decoded, count, ear->hop + ear->filled, RT_HOP - ear->filled);
        at += count;
        if (ear->filled == RT_HOP)
            written = judge(ear, probabilities, written, capacity);
    }
    return written;
}

uint32_t rt_ear_process(rt_ear *ear, const uint8_t *wire, uint32_t bytes, float *probabilities, uint32_t capacity)
{
    return (ear->resample_offset ? narrow : wide)(ear, wire, bytes, probabilities, capacity);
}

double rt_ear_latency(const rt_ear *ear)
{
    double seconds = (double)rt_vad_latency(detector(ear)) / RT_RATE;
    return ear->resample_offset ? seconds + rt_resample_latency(resampler(ear)) : seconds;
}
