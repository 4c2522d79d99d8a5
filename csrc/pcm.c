#include "pcm.h"

#include <string.h>

#include "vec.h"

enum { CHUNK = 256 };

void rt_pcm_to_float(const int16_t *restrict in, float *restrict out, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++)
        out[i] = (float)in[i] * (1.0f / 32768.0f);
}

static inline uint32_t at_most_chunk(uint32_t samples)
{
    return samples < CHUNK ? samples : CHUNK;
}

/* One condition per loop: gcc turns several in a row into branches and loses the vector minimum. */
static void from_float_chunk(const float *restrict in, int16_t *restrict out, uint32_t samples)
{
    /* Adding 1.5 * 2^23 pushes the fraction out of the mantissa, which rounds to nearest even: lrintf for vectors. */
    const float round = 12582912.0f;
    float scaled[CHUNK];

    for (uint32_t i = 0; i < samples; i++)
        scaled[i] = in[i] == in[i] ? in[i] * 32768.0f : 0.0f;
    for (uint32_t i = 0; i < samples; i++)
        scaled[i] = scaled[i] < 32767.0f ? scaled[i] : 32767.0f;
    for (uint32_t i = 0; i < samples; i++) {
        float value = scaled[i] > -32768.0f ? scaled[i] : -32768.0f;
        out[i] = (int16_t)(int32_t)((value + round) - round);
    }
}

void rt_pcm_from_float(const float *in, int16_t *out, uint32_t samples)
{
    for (uint32_t now; samples; samples -= now, in += now, out += now)
        from_float_chunk(in, out, now = at_most_chunk(samples));
}

void rt_pcm_pick(const void *in, int sample, uint32_t channels, uint32_t channel, float *restrict out, uint32_t frames)
{
    size_t at = channel;
    for (uint32_t i = 0; i < frames; i++, at += channels) {
        float x = sample == 0 ? (float)((const int16_t *)in)[at] * (1.0f / 32768.0f) : ((const float *)in)[at];
        out[i] = x > 1.0f ? 1.0f : x < -1.0f ? -1.0f : x == x ? x : 0.0f;
    }
}

/* Own loops for one and two channels: a constant stride is what lets the compiler use vector shuffles. */
void rt_pcm_spread(const float *restrict in, float *restrict out, uint32_t channels, uint32_t frames)
{
    if (channels == 1)
        memcpy(out, in, frames * sizeof *out);
    else if (channels == 2)
        for (uint32_t i = 0; i < frames; i++)
            out[2 * (size_t)i] = out[2 * (size_t)i + 1] = in[i];
    else
        for (uint32_t i = 0; i < frames; i++, out += channels)
            for (uint32_t c = 0; c < channels; c++)
                out[c] = in[i];
}

void rt_pcm_gain(float *samples, uint32_t count, float gain)
{
    for (uint32_t i = 0; i < count; i++)
        samples[i] *= gain;
}

void rt_pcm_ramp(float *samples, uint32_t count, float from, float to)
{
    float step = count ? (to - from) / (float)count : 0.0f;

    for (uint32_t i = 0; i < count; i++)
        samples[i] *= from + step * (float)(int32_t)i; /* signed: SSE2 converts no unsigned words */
}

/* The magnitudes of a chunk as float bits, finite, padded with zeros to whole vectors. Bits of floats that are not
 * negative are in the floats' order, so the largest is found with whole numbers, whose maximum the compiler may
 * vectorise. */
static int32_t magnitude_bits(const float *restrict in, int32_t *restrict bits, uint32_t samples)
{
    const int32_t infinity = 0x7F800000, one = 0x3F800000;
    int32_t largest = 0;

    memcpy(bits, in, samples * sizeof *bits);
    for (uint32_t i = 0; i < samples; i++) {
        int32_t magnitude = bits[i] & 0x7FFFFFFF;
        magnitude = magnitude > infinity ? 0 : magnitude; /* NaN */
        magnitude = magnitude == infinity ? one : magnitude;
        largest = magnitude > largest ? magnitude : largest;
        bits[i] = magnitude;
    }
    for (uint32_t i = samples; i % RT_VEC; i++)
        bits[i] = 0;
    return largest;
}

rt_pcm_level rt_pcm_measure(const float *in, uint32_t samples)
{
    rt_pcm_level level = {0.0f, 0.0f};
    union {
        int32_t bits[CHUNK];
        float values[CHUNK];
    } magnitude;
    int32_t peak = 0;
    double total = 0.0;

    for (uint32_t left = samples, now; left; left -= now, in += now) {
        rt_vec sum = {0};
        now = at_most_chunk(left);
        int32_t largest = magnitude_bits(in, magnitude.bits, now);
        peak = largest > peak ? largest : peak;
        for (uint32_t i = 0; i < now; i += RT_VEC)
            sum += rt_vec_load(magnitude.values + i) * rt_vec_load(magnitude.values + i);
        total += rt_vec_sum(sum);
    }
    memcpy(&level.peak, &peak, sizeof peak);
    if (samples)
        level.mean_square = (float)(total / samples);
    return level;
}
