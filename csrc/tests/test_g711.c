/* Every input of both laws against the segment tables of G.711, written down plainly and on their own. */
#include "check.h"
#include "g711.h"
#include "pcm.h"

enum { ALL = 65536 };

/* G.711 table 2: mu-law works on 14-bit magnitudes with a bias of 33; segment s covers [32 << s, 64 << s) in steps of
 * 2 << s. */
static int ulaw_of(int linear)
{
    int negative = linear < 0;
    int magnitude = (negative ? ~linear : linear) / 4 + 33; /* G.191 takes the one's complement of negative words */
    if (magnitude > 8191)
        magnitude = 8191;
    int segment = 0;
    while (magnitude >= 64 << segment)
        segment++;
    int step = (magnitude - (32 << segment)) / (2 << segment);
    return 255 - (segment * 16 + step) - (negative ? 128 : 0);
}

static int ulaw_value(int code)
{
    int inverted = 255 - code, segment = inverted / 16 % 8, step = inverted % 16;
    int low = (32 << segment) + step * (2 << segment);
    int magnitude = 4 * (low + (1 << segment) - 33);
    return inverted >= 128 ? -magnitude : magnitude;
}

/* G.711 table 1: A-law works on 12-bit magnitudes; segments 0 and 1 have steps of 1, segment s from 2 on covers
 * [16 << (s-1), 32 << (s-1)) in steps of 1 << (s-1). */
static int alaw_of(int linear)
{
    int negative = linear < 0;
    int magnitude = (negative ? ~linear : linear) / 16;
    int segment = 0;
    while (magnitude >= 16 << segment)
        segment++;
    int width = segment > 1 ? 1 << (segment - 1) : 1;
    int low = segment ? 16 << (segment - 1) : 0;
    int code = segment * 16 + (magnitude - low) / width + (negative ? 0 : 128);
    return code ^ 0x55;
}

static int alaw_value(int code)
{
    int plain = code ^ 0x55, segment = plain / 16 % 8, step = plain % 16;
    int width = segment > 1 ? 1 << (segment - 1) : 1;
    int low = segment ? 16 << (segment - 1) : 0;
    int magnitude = (low + step * width) * 16 + width * 8;
    return plain >= 128 ? magnitude : -magnitude;
}

typedef struct {
    const char *name;
    void (*encode)(const int16_t *, uint8_t *, uint32_t);
    void (*decode)(const uint8_t *, int16_t *, uint32_t);
    void (*encode_float)(const float *, uint8_t *, uint32_t);
    void (*decode_float)(const uint8_t *, float *, uint32_t);
    int (*code_of)(int);
    int (*value_of)(int);
    int silence, silence_value, idempotent_codes;
} law;

static const law laws[] = {
    {"mu-law", rt_ulaw_encode, rt_ulaw_decode, rt_ulaw_encode_float, rt_ulaw_decode_float,
     ulaw_of, ulaw_value, RT_ULAW_SILENCE, 0, 255},
    {"A-law", rt_alaw_encode, rt_alaw_decode, rt_alaw_encode_float, rt_alaw_decode_float,
     alaw_of, alaw_value, RT_ALAW_SILENCE, 8, 256},
};

static int16_t linear[ALL], back[ALL];
static float floats[ALL];
static uint8_t codes[ALL], again[ALL];

static void check_all_inputs(const law *l)
{
    l->encode(linear, codes, ALL);
    for (int i = 0; i < ALL; i++)
        CHECK_EQUAL(codes[i], l->code_of(linear[i]));

    rt_pcm_to_float(linear, floats, ALL);
    l->encode_float(floats, again, ALL);
    CHECK(memcmp(codes, again, ALL) == 0);
}

static void check_all_codes(const law *l)
{
    int same = 0;

    for (int i = 0; i < 256; i++)
        codes[i] = (uint8_t)i;
    l->decode(codes, back, 256);
    l->decode_float(codes, floats, 256);
    l->encode(back, again, 256);
    for (int i = 0; i < 256; i++) {
        CHECK_EQUAL(back[i], l->value_of(i));
        CHECK(floats[i] == (float)back[i] / 32768.0f);
        same += again[i] == i;
    }
    CHECK_EQUAL(same, l->idempotent_codes); /* mu-law has two zeros: 0x7F comes back as 0xFF */
}

static void check_silence(const law *l)
{
    int16_t zero = 0, value;
    uint8_t code;

    l->encode(&zero, &code, 1);
    CHECK_EQUAL(code, l->silence);
    l->decode(&code, &value, 1);
    CHECK_EQUAL(value, l->silence_value);
}

/* Lengths round the vector and the chunk, and nothing written beyond them. */
static void check_lengths(const law *l)
{
    l->encode(linear, codes, ALL);
    l->decode(codes, back, ALL);
    for (uint32_t length = 0; length < 600; length += length < 40 ? 1 : 37) {
        const int16_t *from = linear + 20001;
        int16_t values[601];
        again[length] = 77;
        values[length] = 777;
        l->encode(from, again, length);
        l->decode(codes + 20001, values, length);
        CHECK(memcmp(again, codes + 20001, length) == 0);
        CHECK(memcmp(values, back + 20001, length * sizeof *values) == 0);
        CHECK_EQUAL(again[length], 77);
        CHECK_EQUAL(values[length], 777);
    }
}

/* Between the laws: through linear, on all codes, by name and by number. */
static void check_across(void)
{
    uint8_t all[256], got[257], numbered[256];

    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    got[256] = 77;
    rt_ulaw_to_alaw(all, got, 256);
    rt_g711_convert(RT_G711_ULAW_TO_ALAW, all, numbered, 256);
    CHECK(memcmp(got, numbered, 256) == 0);
    for (int i = 0; i < 256; i++)
        CHECK_EQUAL(got[i], alaw_of(ulaw_value(i)));
    CHECK_EQUAL(got[RT_ULAW_SILENCE], RT_ALAW_SILENCE);
    rt_alaw_to_ulaw(all, got, 256);
    rt_g711_convert(RT_G711_ALAW_TO_ULAW, all, numbered, 256);
    CHECK(memcmp(got, numbered, 256) == 0);
    for (int i = 0; i < 256; i++)
        CHECK_EQUAL(got[i], ulaw_of(alaw_value(i)));
    CHECK_EQUAL(got[RT_ALAW_SILENCE], 0xFE);
    CHECK_EQUAL(got[256], 77);

    for (int i = 0; i < ALL; i++) /* more than a chunk */
        codes[i] = (uint8_t)(i * 7);
    rt_ulaw_to_alaw(codes, again, ALL);
    for (int i = 0; i < ALL; i++)
        CHECK_EQUAL(again[i], alaw_of(ulaw_value(codes[i])));
    rt_alaw_to_ulaw(codes, again, ALL);
    for (int i = 0; i < ALL; i++)
        CHECK_EQUAL(again[i], ulaw_of(alaw_value(codes[i])));
}

static void check_numbers(void)
{
    static const uint32_t numbers[][2] = {
        {RT_G711_ULAW_ENCODE, RT_G711_ULAW_DECODE}, {RT_G711_ALAW_ENCODE, RT_G711_ALAW_DECODE}};

    for (int i = 0; i < 2; i++) {
        laws[i].encode(linear, codes, ALL);
        rt_g711_convert(numbers[i][0], linear, again, ALL);
        CHECK(memcmp(codes, again, ALL) == 0);
        rt_g711_convert(numbers[i][1], codes, back, ALL);
        for (int k = 0; k < ALL; k++)
            CHECK_EQUAL(back[k], laws[i].value_of(codes[k]));
    }
    rt_g711_convert(99, linear, again, ALL); /* does nothing */
}

static void check_broken_floats(const law *l)
{
    const float broken[] = {NAN, INFINITY, -INFINITY, 1.0f, -1.0f, 3.0e38f, -2.0f, 0.5f / 32768.0f, 1.5f / 32768.0f};
    const int16_t meant[] = {0, 32767, -32768, 32767, -32768, 32767, -32768, 0, 2};
    uint8_t got[9], wanted[9];

    l->encode_float(broken, got, 9);
    l->encode(meant, wanted, 9);
    CHECK(memcmp(got, wanted, 9) == 0);
}

int main(void)
{
    for (int i = 0; i < ALL; i++)
        linear[i] = (int16_t)(i - 32768);
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++) {
        check_all_inputs(&laws[i]);
        check_all_codes(&laws[i]);
        check_silence(&laws[i]);
        check_lengths(&laws[i]);
        check_broken_floats(&laws[i]);
    }
    check_across();
    check_numbers();
    return CHECK_DONE();
}
