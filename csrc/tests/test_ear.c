/* The ear: any cut of the bytes gives what the blocks in it give one after the other. */
#include "check.h"
#include "ear.h"
#include "g711.h"
#include "resample.h"
#include "vad.h"

enum { HOPS = 120, MOST = HOPS * RT_HOP * 2 };

static uint8_t wire[MOST];
static float expected[HOPS];

static rt_ear *make_ear(uint32_t format)
{
    rt_ear *ear = check_memory(rt_ear_size(format));
    CHECK_EQUAL(rt_ear_init(ear, format), RT_OK);
    return ear;
}

/* Bursts of noise in quiet, and what the detector says of them when everything is done by hand. */
static uint32_t prepare(uint32_t format)
{
    unsigned long long state = 5;
    uint32_t samples = format == RT_PCM16 ? HOPS * RT_HOP : HOPS * RT_HOP / 3;
    float *sound = check_memory(HOPS * RT_HOP * sizeof(float)), *decoded = check_memory(HOPS * RT_HOP * sizeof(float));
    for (uint32_t i = 0; i < samples; i++) {
        double loud = (i * 10 / samples) % 3 == 1 ? 9000.0 : 20.0;
        int16_t value = (int16_t)(loud * ((double)check_random(&state) / 2147483648.0 - 1.0));
        if (format == RT_PCM16) {
            wire[2 * i] = (uint8_t)((uint16_t)value & 255u);
            wire[2 * i + 1] = (uint8_t)((uint16_t)value >> 8);
            sound[i] = (float)value / 32768.0f;
        } else if (format == RT_ULAW)
            rt_ulaw_encode(&value, wire + i, 1);
        else
            rt_alaw_encode(&value, wire + i, 1);
    }
    if (format != RT_PCM16) {
        rt_resample *resample = check_memory(rt_resample_size(8000, RT_RATE));
        CHECK_EQUAL(rt_resample_init(resample, 8000, RT_RATE), RT_OK);
        (format == RT_ULAW ? rt_ulaw_decode_float : rt_alaw_decode_float)(wire, decoded, samples);
        CHECK_EQUAL(rt_resample_process(resample, decoded, samples, sound, HOPS * RT_HOP), HOPS * RT_HOP);
        free(resample);
    }
    rt_vad *vad = check_memory(rt_vad_size());
    CHECK_EQUAL(rt_vad_init(vad), RT_OK);
    for (int i = 0; i < HOPS; i++)
        expected[i] = rt_vad_process(vad, sound + i * RT_HOP);
    free(vad);
    free(sound);
    free(decoded);
    return format == RT_PCM16 ? samples * 2 : samples;
}

static void any_cut_is_the_same(uint32_t format)
{
    uint32_t bytes = prepare(format);
    static const uint32_t cuts[] = {1, 3, 79, 160, 479, 481, 961, 5000, MOST};
    rt_ear *ear = make_ear(format);
    for (size_t cut = 0; cut < sizeof cuts / sizeof *cuts; cut++) {
        float got[HOPS];
        uint32_t hops = 0;
        for (uint32_t at = 0; at < bytes; at += cuts[cut]) {
            uint32_t count = bytes - at < cuts[cut] ? bytes - at : cuts[cut], due = rt_ear_hops(ear, count);
            CHECK(hops + due <= HOPS);
            CHECK_EQUAL(rt_ear_process(ear, wire + at, count, got + hops, due), due);
            hops += due;
        }
        CHECK_EQUAL(hops, HOPS);
        CHECK(memcmp(got, expected, sizeof got) == 0);
        rt_ear_reset(ear);
    }
    free(ear);
}

static void what_finds_no_room_is_lost_and_no_more(void)
{
    uint32_t bytes = prepare(RT_PCM16);
    rt_ear *ear = make_ear(RT_PCM16);
    float got[3] = {0};
    CHECK_EQUAL(rt_ear_process(ear, wire, 10 * RT_HOP * 2, got, 2), 2u);
    CHECK(got[0] == expected[0] && got[1] == expected[1] && got[2] == 0.0f);
    CHECK_EQUAL(rt_ear_process(ear, wire + 10 * RT_HOP * 2, RT_HOP * 2, got, 3), 1u);
    CHECK(got[0] == expected[10]);
    CHECK_EQUAL(rt_ear_process(ear, wire, 0, got, 3), 0u);
    CHECK(bytes == MOST);
    free(ear);
}

static void formats(void)
{
    rt_ear ear;
    CHECK_EQUAL(rt_ear_size(99), 0u);
    CHECK_EQUAL(rt_ear_init(&ear, 99), RT_BAD_ARGUMENT);
    rt_ear *wide = make_ear(RT_PCM16), *narrow = make_ear(RT_ALAW);
    rt_vad *vad = check_memory(rt_vad_size());
    CHECK_EQUAL(rt_vad_init(vad), RT_OK);
    double seconds = (double)rt_vad_latency(vad) / RT_RATE;
    CHECK_NEAR(rt_ear_latency(wide), seconds, 1e-9);
    CHECK_NEAR(rt_ear_latency(narrow), seconds + 0.003, 1e-9);
    free(vad);
    free(narrow);
    free(wide);
}

int main(void)
{
    any_cut_is_the_same(RT_PCM16);
    any_cut_is_the_same(RT_ULAW);
    any_cut_is_the_same(RT_ALAW);
    what_finds_no_room_is_lost_and_no_more();
    formats();
    return CHECK_DONE();
}
