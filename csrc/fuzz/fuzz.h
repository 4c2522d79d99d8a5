/* fuzz.h - what the fuzz targets share: a program read from bytes, memory with nothing to spare, every kind of sound.
 *
 * A target reads its configuration and then operations from the input until it is used up; past its end every value is
 * 0. Blocks and buffers are allocated to the byte and filled with rubbish, so that ASan sees an access beyond them and
 * an init that forgets a field shows. EXPECT prints what does not hold and aborts, which libFuzzer reports.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition)                                                                \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                     \
        }                                                                                \
    } while (0)

enum { RUBBISH = 0xA5 };

typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* Freed memory is used again soon: blocks of half a megabyte from ever new pages would take most of the time. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "quarantine_size_mb=4:max_free_fill_size=0"; }

static inline uint8_t next_byte(input *in) { return in->left > 0 ? (in->left--, *in->at++) : 0; }

static inline uint32_t next_half(input *in)
{
    uint32_t low = next_byte(in);
    return low | (uint32_t)next_byte(in) << 8;
}

static inline uint32_t next_word(input *in)
{
    uint32_t low = next_half(in);
    return low | next_half(in) << 16;
}

/* low..high, from as many bytes as that takes. */
static inline uint32_t next_in(input *in, uint32_t low, uint32_t high)
{
    uint32_t span = high - low, value = span < 256 ? next_byte(in) : span < 65536 ? next_half(in) : next_word(in);
    return span == UINT32_MAX ? value : low + value % (span + 1);
}

/* Any float there is, NaN and infinities too. */
static inline float next_float(input *in)
{
    uint32_t bits = next_word(in);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Exactly `bytes`, 64-byte aligned, full of rubbish. */
static inline void *rough_memory(size_t bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes ? bytes : 1) != 0)
        abort();
    memset(memory, RUBBISH, bytes);
    return memory;
}

static inline int untouched(const void *memory, size_t bytes)
{
    const uint8_t *at = memory;
    for (size_t i = 0; i < bytes; i++)
        if (at[i] != RUBBISH)
            return 0;
    return 1;
}

static inline uint32_t scramble(uint64_t x)
{
    x = (x + 1) * 0x9E3779B97F4A7C15ull;
    x ^= x >> 29;
    x *= 0xBF58476D1CE4E5B9ull;
    return (uint32_t)(x >> 32);
}

/* Sample i of a kind of sound: silence, noise at four levels, any bits at all, the values that break arithmetic, full
 * scale, a tone that comes and goes like syllables, and soft noise with broken samples in it. */
static inline float sample_of(uint32_t kind, uint64_t i)
{
    static const float special[8] = {NAN, INFINITY, -INFINITY, 3.4e38f, -3.4e38f, 1e-40f, -0.0f, 1.0f};
    uint32_t bits = scramble(i ^ (uint64_t)kind << 40);
    float any, noise = (float)(int32_t)bits / 2147483648.0f;
    memcpy(&any, &bits, sizeof any);
    switch (kind & 7) {
    case 1:
        return noise * powf(0.1f, (float)(kind >> 3 & 3));
    case 2:
        return any;
    case 3:
        return special[bits >> 29];
    case 4:
        return i / 50 % 2 ? 1.0f : -1.0f;
    case 5:
        return i / 4800 % 2 ? 0.3f * sinf((float)(i % 240) * 0.2617994f) : 0.0001f * noise;
    case 6:
        return bits % 500 == 0 ? special[bits >> 29] : 0.1f * noise;
    default:
        return 0.0f;
    }
}

#endif
