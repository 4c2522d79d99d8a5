/* The resampler cut into any blocks, moved while it runs, short of room, flushed, against one that gets all at once. */
#include "fuzz.h"
#include "resample.h"

enum { MOST_INPUT = 20000 };

static const uint32_t RATES[] = {8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000};

static uint32_t next_rate(input *in)
{
    uint32_t choice = next_byte(in);
    return choice < 230 ? RATES[choice % 10] : choice < 252 ? next_in(in, 8000, 192000) : next_word(in);
}

static uint64_t divided_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

/* Finite, no louder than taps of a sum of magnitudes below 4 make it, and nothing that slows the processor down. */
static void check_sound(const float *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        EXPECT(fabsf(out[i]) <= 4.0f * 32768.0f && fpclassify(out[i]) != FP_SUBNORMAL);
}

static rt_resample *start(rt_resample_config config)
{
    rt_resample *r = rough_memory(rt_resample_size_for(&config));
    EXPECT(rt_resample_init_for(r, &config) == RT_OK);
    return r;
}

static rt_resample_config config_of(const rt_resample *r)
{
    return (rt_resample_config){r->rate_in, r->rate_out, r->half == 80 ? RT_RESAMPLE_FILE : RT_RESAMPLE_LIVE, r->tunable};
}

static rt_resample *moved(rt_resample *r)
{
    rt_resample_config config = config_of(r);
    size_t size = rt_resample_size_for(&config);
    rt_resample *copy = memcpy(rough_memory(size), r, size);
    memset(r, RUBBISH, size);
    free(r);
    return copy;
}

/* One call with `room`; `wanted` is what the whole stream gives from here on. */
static uint32_t step(rt_resample *r, const float *from, uint32_t frames, uint32_t room, const float *wanted)
{
    uint32_t due = rt_resample_out(r, frames), fits = due < room ? due : room;
    float *in = rough_memory(frames * sizeof *in), *out = rough_memory(room * sizeof *out);
    memcpy(in, from, frames * sizeof *in);
    EXPECT(rt_resample_process(r, in, frames, out, room) == fits);
    EXPECT(memcmp(out, wanted, fits * sizeof *out) == 0 && untouched(out + fits, (room - fits) * sizeof *out));
    free(in);
    free(out);
    return due;
}

static void finish(rt_resample *r, uint64_t taken, uint64_t given)
{
    uint32_t tail = rt_resample_tail(r);
    float *out = rough_memory(tail * sizeof *out);
    uint64_t longest = r->up > r->down ? r->up : r->down, ringing = r->half * longest; /* half: 0 for a copy */
    EXPECT(given + tail == divided_up(taken * r->up + ringing, r->down));
    EXPECT(rt_resample_flush(r, out, tail) == tail);
    check_sound(out, tail);
    EXPECT(r->phase == 0 && r->wait == 0);
    free(out);
}

static void stream(rt_resample *r, input *in, const float *sound, uint32_t length)
{
    uint32_t up = r->up, down = r->down, taken = 0, given = 0, whole_count = rt_resample_out(r, length);
    float *whole = rough_memory(whole_count * sizeof *whole);
    rt_resample *other = start(config_of(r));
    EXPECT(rt_resample_process(other, sound, length, whole, whole_count) == whole_count);
    check_sound(whole, whole_count);
    while (taken < length && in->left > 0) {
        uint32_t op = next_byte(in), left = length - taken, frames = op % 8 == 0 ? next_half(in) : next_byte(in);
        frames = frames < left ? frames : left;
        uint32_t due = rt_resample_out(r, frames);
        given += step(r, sound + taken, frames, op % 8 == 1 ? next_in(in, 0, due) : due + op % 3, whole + given);
        taken += frames;
        EXPECT(given == divided_up((uint64_t)taken * up, down));
        if (op % 8 == 2)
            r = moved(r);
    }
    finish(r, taken, given);
    free(whole);
    free(other);
    free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    input in = {bytes, count};
    uint32_t rate_in = next_rate(&in), rate_out = next_rate(&in);
    uint32_t kind = next_byte(&in), length = next_in(&in, 0, MOST_INPUT);
    if (rt_resample_size(rate_in, rate_out) == 0) {
        rt_resample *r = rough_memory(sizeof *r);
        EXPECT(rate_in < 8000 || rate_in > 192000 || rate_out < 8000 || rate_out > 192000);
        EXPECT(rt_resample_init(r, rate_in, rate_out) == RT_BAD_ARGUMENT && untouched(r, sizeof *r));
        free(r);
        return 0;
    }
    rt_resample_config config = {rate_in, rate_out, kind >> 6 & 1, kind >> 7};
    EXPECT(rt_resample_size_for(&config) <= 192 * 1024);
    float *sound = rough_memory(length * sizeof *sound);
    for (uint32_t i = 0; i < length; i++)
        sound[i] = sample_of(kind, i) * (kind & 32 ? 32768.0f : 1.0f);
    stream(start(config), &in, sound, length);
    free(sound);
    return 0;
}
