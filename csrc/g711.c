/* The idea: both laws code a magnitude as 3 bits of exponent and 4 bits of mantissa, which is what a float is. A
 * magnitude turned into a float carries its code in bits 19 to 25, and the other way round, so neither searching for
 * the segment nor a variable shift is needed and every loop below is straight arithmetic that gcc vectorises with
 * baseline SSE2 or NEON, and with AVX2 where the processor has it. All floats here are exact small integers.
 *
 * The work goes through a short buffer on the stack so that the steps on 16 bits use full vectors of 16-bit lanes.
 * For the step through float two neighbouring 16-bit values are taken from one 32-bit word, which saves the vectors'
 * slow packing of words to half words. Which neighbour is the low half does not matter, so byte order does not
 * either.
 */
#include "g711.h"

#include <string.h>

#include "pcm.h"
#include "wide.h"

enum {
    CHUNK = 256,
    ULAW_BIAS = 33,                  /* mu-law codes magnitude + 33, so that the lowest segment starts at 32 = 2^5 */
    ULAW_ORIGIN = (127 + 5) << 4,    /* exponent and mantissa bits of 32.0f: code 0 of mu-law */
    ALAW_ORIGIN = (127 + 3) << 4,    /* and of 8.0f: A-law segment 1 starts at 16 = 2^4 with code 16 */
    MANTISSA_SHIFT = 23 - 4,         /* a float keeps 23 bits of mantissa, a code 4 */
    HALF_STEP = 1 << (23 - 4 - 1)    /* a code is decoded to the middle of its step */
};

typedef union {
    int16_t half[CHUNK];
    uint32_t word[CHUNK / 2];
} chunk;

static inline uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Replaces magnitudes (0..8191) by the top bits of their floats: exponent and 4 bits of mantissa. */
static RT_FORCED void magnitudes_to_codes(chunk *values, uint32_t samples)
{
    if (samples & 1)
        values->half[samples] = 0;
    for (uint32_t i = 0; i < (samples + 1) / 2; i++) {
        uint32_t word = values->word[i];
        uint32_t low = float_bits((float)(int32_t)(word & 0xFFFFu));
        uint32_t high = float_bits((float)(int32_t)(word >> 16));
        values->word[i] = low >> MANTISSA_SHIFT | (high >> (MANTISSA_SHIFT - 16) & 0xFFFF0000u);
    }
}

/* Replaces codes (0..127) by the middle of their step, a whole number of at most 8191 once `origin` is chosen right. */
static RT_FORCED void codes_to_magnitudes(chunk *values, uint32_t samples, uint32_t origin)
{
    uint32_t base = (origin << MANTISSA_SHIFT) + HALF_STEP;

    if (samples & 1)
        values->half[samples] = 0;
    for (uint32_t i = 0; i < (samples + 1) / 2; i++) {
        uint32_t word = values->word[i];
        float low = bits_float((word << MANTISSA_SHIFT) + base);
        float high = bits_float(((word & 0xFFFF0000u) << (MANTISSA_SHIFT - 16)) + base);
        values->word[i] = (uint32_t)(int32_t)low | (uint32_t)(int32_t)high << 16;
    }
}

static inline int16_t with_sign(int value, int16_t sign)
{
    return (int16_t)((value ^ sign) - sign);
}

static inline int16_t lesser(int16_t a, int16_t b)
{
    return a < b ? a : b;
}

static inline int16_t larger(int16_t a, int16_t b)
{
    return a > b ? a : b;
}

static inline uint32_t at_most_chunk(uint32_t samples)
{
    return samples < CHUNK ? samples : CHUNK;
}

static RT_FORCED void ulaw_encode_chunk(const int16_t *restrict in, uint8_t *restrict out, uint32_t samples)
{
    chunk values;

    for (uint32_t i = 0; i < samples; i++) {
        int16_t sign = (int16_t)(in[i] >> 15);
        int16_t magnitude = (int16_t)(((int16_t)(in[i] ^ sign) >> 2) + ULAW_BIAS); /* one's complement, as G.191 does */
        values.half[i] = lesser(magnitude, 8191);
    }
    magnitudes_to_codes(&values, samples);
    for (uint32_t i = 0; i < samples; i++)
        out[i] = (uint8_t)((values.half[i] - ULAW_ORIGIN) ^ 0xFF ^ ((in[i] >> 15) & 0x80));
}

static RT_FORCED void ulaw_decode_chunk(const uint8_t *restrict in, int16_t *restrict out, uint32_t samples)
{
    chunk values;

    for (uint32_t i = 0; i < samples; i++)
        values.half[i] = (int16_t)((in[i] & 0x7F) ^ 0x7F);
    codes_to_magnitudes(&values, samples, ULAW_ORIGIN);
    for (uint32_t i = 0; i < samples; i++) {
        int16_t sign = (int16_t)((int8_t)~in[i] >> 7);
        out[i] = with_sign((values.half[i] - ULAW_BIAS) * 4, sign);
    }
}

static RT_FORCED void alaw_encode_chunk(const int16_t *restrict in, uint8_t *restrict out, uint32_t samples)
{
    chunk values;

    for (uint32_t i = 0; i < samples; i++)
        values.half[i] = (int16_t)((int16_t)(in[i] ^ (in[i] >> 15)) >> 4);
    magnitudes_to_codes(&values, samples);
    for (uint32_t i = 0; i < samples; i++) {
        int16_t sign = (int16_t)(in[i] >> 15);
        int16_t magnitude = (int16_t)((int16_t)(in[i] ^ sign) >> 4);
        int16_t code = (int16_t)(values.half[i] - ALAW_ORIGIN);
        /* The lowest 16 have no leading one to find; they code as themselves, which is above the float's code there. */
        code = larger(code, lesser(magnitude, 15));
        out[i] = (uint8_t)(code ^ 0xD5 ^ (sign & 0x80));
    }
}

static RT_FORCED void alaw_decode_chunk(const uint8_t *restrict in, int16_t *restrict out, uint32_t samples)
{
    chunk values;

    /* Doubled on the way (origin one octave up), so that the half step of the lowest segments is a whole number. */
    for (uint32_t i = 0; i < samples; i++)
        values.half[i] = (int16_t)((in[i] & 0x7F) ^ 0x55);
    codes_to_magnitudes(&values, samples, ALAW_ORIGIN + 16);
    for (uint32_t i = 0; i < samples; i++) {
        int16_t sign = (int16_t)((int8_t)~in[i] >> 7);
        int16_t code = (int16_t)((in[i] & 0x7F) ^ 0x55);
        /* Codes below 16 have steps twice a float's: 15 too much at code 0, 14 at code 1, and so on. */
        int16_t doubled = (int16_t)(values.half[i] - larger((int16_t)(15 - code), 0));
        out[i] = with_sign(doubled * 8, sign);
    }
}

/* The loop over chunks, once for every processor and once for wide vectors. */
#define IN_CHUNKS(name, from, to)                                                                                    \
    static void name##_narrow(const from *in, to *out, uint32_t samples)                                             \
    {                                                                                                                \
        for (uint32_t now; samples; samples -= now, in += now, out += now)                                           \
            name##_chunk(in, out, now = at_most_chunk(samples));                                                     \
    }                                                                                                                \
    RT_WIDE static void name##_wide(const from *in, to *out, uint32_t samples)                                       \
    {                                                                                                                \
        for (uint32_t now; samples; samples -= now, in += now, out += now)                                           \
            name##_chunk(in, out, now = at_most_chunk(samples));                                                     \
    }                                                                                                                \
    void rt_##name(const from *in, to *out, uint32_t samples)                                                        \
    {                                                                                                                \
        if (rt_wide())                                                                                               \
            name##_wide(in, out, samples);                                                                           \
        else                                                                                                         \
            name##_narrow(in, out, samples);                                                                         \
    }

IN_CHUNKS(ulaw_encode, int16_t, uint8_t)
IN_CHUNKS(ulaw_decode, uint8_t, int16_t)
IN_CHUNKS(alaw_encode, int16_t, uint8_t)
IN_CHUNKS(alaw_decode, uint8_t, int16_t)

void rt_ulaw_to_alaw(const uint8_t *in, uint8_t *out, uint32_t samples)
{
    int16_t linear[CHUNK];

    for (uint32_t now; samples; samples -= now, in += now, out += now) {
        now = at_most_chunk(samples);
        rt_ulaw_decode(in, linear, now);
        rt_alaw_encode(linear, out, now);
    }
}

void rt_alaw_to_ulaw(const uint8_t *in, uint8_t *out, uint32_t samples)
{
    int16_t linear[CHUNK];

    for (uint32_t now; samples; samples -= now, in += now, out += now) {
        now = at_most_chunk(samples);
        rt_alaw_decode(in, linear, now);
        rt_ulaw_encode(linear, out, now);
    }
}

void rt_ulaw_encode_float(const float *in, uint8_t *out, uint32_t samples)
{
    int16_t linear[CHUNK];

    for (uint32_t now; samples; samples -= now, in += now, out += now) {
        now = at_most_chunk(samples);
        rt_pcm_from_float(in, linear, now);
        rt_ulaw_encode(linear, out, now);
    }
}

void rt_ulaw_decode_float(const uint8_t *in, float *out, uint32_t samples)
{
    int16_t linear[CHUNK];

    for (uint32_t now; samples; samples -= now, in += now, out += now) {
        now = at_most_chunk(samples);
        rt_ulaw_decode(in, linear, now);
        rt_pcm_to_float(linear, out, now);
    }
}

void rt_alaw_encode_float(const float *in, uint8_t *out, uint32_t samples)
{
    int16_t linear[CHUNK];

    for (uint32_t now; samples; samples -= now, in += now, out += now) {
        now = at_most_chunk(samples);
        rt_pcm_from_float(in, linear, now);
        rt_alaw_encode(linear, out, now);
    }
}

void rt_alaw_decode_float(const uint8_t *in, float *out, uint32_t samples)
{
    int16_t linear[CHUNK];

    for (uint32_t now; samples; samples -= now, in += now, out += now) {
        now = at_most_chunk(samples);
        rt_alaw_decode(in, linear, now);
        rt_pcm_to_float(linear, out, now);
    }
}

void rt_g711_convert(uint32_t which, const void *in, void *out, uint32_t samples)
{
    switch (which) {
    case RT_G711_ULAW_ENCODE:
        rt_ulaw_encode(in, out, samples);
        break;
    case RT_G711_ULAW_DECODE:
        rt_ulaw_decode(in, out, samples);
        break;
    case RT_G711_ALAW_ENCODE:
        rt_alaw_encode(in, out, samples);
        break;
    case RT_G711_ALAW_DECODE:
        rt_alaw_decode(in, out, samples);
        break;
    case RT_G711_ULAW_TO_ALAW:
        rt_ulaw_to_alaw(in, out, samples);
        break;
    case RT_G711_ALAW_TO_ULAW:
        rt_alaw_to_ulaw(in, out, samples);
        break;
    default:
        break;
    }
}
