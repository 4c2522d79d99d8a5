/* G.711 against plain coders that search for the segment, and pcm.h against the C library's rounding. */
#include "fuzz.h"
#include "g711.h"
#include "pcm.h"

static uint8_t ulaw_code(int16_t linear)
{
    int magnitude = ((linear < 0 ? ~linear : linear) >> 2) + 33, segment = 1;
    magnitude = magnitude > 0x1FFF ? 0x1FFF : magnitude;
    for (int i = magnitude >> 6; i != 0; i >>= 1)
        segment++;
    int code = (8 - segment) << 4 | (0xF - (magnitude >> segment & 0xF));
    return (uint8_t)(linear >= 0 ? code | 0x80 : code);
}

static int16_t ulaw_linear(uint8_t code)
{
    int exponent = ~code >> 4 & 7, mantissa = ~code & 0xF, step = 8 << exponent;
    int magnitude = (0x80 << exponent) + step * mantissa + step / 2 - 4 * 33;
    return (int16_t)(code < 0x80 ? -magnitude : magnitude);
}

static uint8_t alaw_code(int16_t linear)
{
    int magnitude = (linear < 0 ? ~linear : linear) >> 4;
    if (magnitude > 15) {
        int exponent = 1;
        for (; magnitude > 16 + 15; exponent++)
            magnitude >>= 1;
        magnitude += (exponent << 4) - 16;
    }
    return (uint8_t)((linear >= 0 ? magnitude | 0x80 : magnitude) ^ 0x55);
}

static int16_t alaw_linear(uint8_t code)
{
    int value = (code ^ 0x55) & 0x7F, exponent = value >> 4, mantissa = (value & 0xF) + (exponent > 0 ? 16 : 0);
    int magnitude = (mantissa << 4) + 8;
    magnitude <<= exponent > 1 ? exponent - 1 : 0;
    return (int16_t)(code > 127 ? magnitude : -magnitude);
}

static int16_t rounded(float x)
{
    float scaled = x == x ? x * 32768.0f : 0.0f;
    return (int16_t)(scaled >= 32767.0f ? 32767 : scaled <= -32768.0f ? -32768 : lrintf(scaled));
}

static void encode_both(const int16_t *linear, uint32_t n)
{
    uint8_t *ulaw = rough_memory(n), *alaw = rough_memory(n);
    rt_ulaw_encode(linear, ulaw, n);
    rt_alaw_encode(linear, alaw, n);
    for (uint32_t i = 0; i < n; i++)
        EXPECT(ulaw[i] == ulaw_code(linear[i]) && alaw[i] == alaw_code(linear[i]));
    free(ulaw);
    free(alaw);
}

static void encode_floats(const float *in, uint32_t n)
{
    int16_t *linear = rough_memory(n * sizeof *linear);
    uint8_t *ulaw = rough_memory(n), *alaw = rough_memory(n);
    rt_pcm_from_float(in, linear, n);
    rt_ulaw_encode_float(in, ulaw, n);
    rt_alaw_encode_float(in, alaw, n);
    for (uint32_t i = 0; i < n; i++)
        EXPECT(linear[i] == rounded(in[i]) && ulaw[i] == ulaw_code(linear[i]) && alaw[i] == alaw_code(linear[i]));
    rt_pcm_level level = rt_pcm_measure(in, n);
    EXPECT(level.peak >= 0.0f && isfinite(level.peak) && level.mean_square >= 0.0f);
    free(linear);
    free(ulaw);
    free(alaw);
}

static void decode_both(const uint8_t *codes, uint32_t n)
{
    int16_t *ulaw = rough_memory(n * sizeof *ulaw), *alaw = rough_memory(n * sizeof *alaw);
    float *ulaw_float = rough_memory(n * sizeof *ulaw_float), *alaw_float = rough_memory(n * sizeof *alaw_float);
    rt_ulaw_decode(codes, ulaw, n);
    rt_alaw_decode(codes, alaw, n);
    rt_ulaw_decode_float(codes, ulaw_float, n);
    rt_alaw_decode_float(codes, alaw_float, n);
    for (uint32_t i = 0; i < n; i++) {
        EXPECT(ulaw[i] == ulaw_linear(codes[i]) && alaw[i] == alaw_linear(codes[i]));
        EXPECT(ulaw_float[i] * 32768.0f == ulaw[i] && alaw_float[i] * 32768.0f == alaw[i]);
    }
    free(ulaw);
    free(alaw);
    free(ulaw_float);
    free(alaw_float);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    input in = {bytes, count};
    uint32_t form = next_byte(&in), repeat = 1 + (form >> 4), each = form % 4 == 0 ? 1 : form % 4 == 1 ? 2 : 4;
    uint32_t units = (uint32_t)(in.left / each), n = units * repeat;
    uint8_t *values = rough_memory((size_t)n * each);
    for (uint32_t i = 0; i < repeat; i++)
        memcpy(values + (size_t)i * units * each, in.at, (size_t)units * each);
    if (each == 1)
        decode_both(values, n);
    else if (each == 2)
        encode_both((const int16_t *)(const void *)values, n);
    else
        encode_floats((const float *)(const void *)values, n);
    free(values);
    return 0;
}
