/* Slower and faster: the pitch stays, the level stays, nothing clicks, the length is right, every source sample is told of once. */
#include "check.h"
#include "stretch.h"

#define PI 3.14159265358979323846

enum { MOST = 24000 * 12 };

static float source[MOST], sound[2 * MOST + 1000];

typedef struct run {
    uint32_t made, consumed, inserted, removed, jumps;
} run;

static rt_stretch *make(uint32_t rate_hz)
{
    rt_stretch *s = check_memory(rt_stretch_size());
    CHECK_EQUAL(rt_stretch_init(s, rate_hz), RT_OK);
    return s;
}

/* Plays all of `frames`, in calls of random size if `seed`; checks what each call says of itself. */
static run play(rt_stretch *s, uint32_t frames, float rate, unsigned long long *seed)
{
    run r = {0};
    uint32_t hop = s->rate_hz / 100;
    for (;;) {
        rt_stretch_step step;
        uint32_t want = seed ? 1 + check_random(seed) % hop : hop;
        uint64_t position = rt_stretch_position(s);
        rt_stretch_process(s, source + r.consumed, frames - r.consumed, rate, sound + r.made, want, &step);
        CHECK(step.made <= want && step.repeated <= step.made && step.inserted * step.removed == 0);
        CHECK_EQUAL(rt_stretch_position(s), position + step.made + step.removed - step.inserted);
        CHECK_EQUAL(step.consumed, step.made - step.repeated + step.removed); /* at one rate nothing is both repeated and skipped */
        r.made += step.made;
        r.consumed += step.consumed;
        r.inserted += step.inserted;
        r.removed += step.removed;
        r.jumps += step.inserted + step.removed > 0;
        if (step.made == 0)
            break;
    }
    CHECK_EQUAL(s->consumed, r.consumed);
    CHECK_EQUAL(r.consumed, frames);
    CHECK_EQUAL(s->behind, 0);
    CHECK_EQUAL(r.made, frames + r.inserted - r.removed);
    return r;
}

static const float rates[] = {0.5f, 0.7f, 0.82f, 0.94f, 0.99f, 1.0f, 1.01f, 1.06f, 1.18f, 1.5f, 2.0f};
enum { RATES = sizeof rates / sizeof *rates };

static void length_is_right(uint32_t frames, float rate, const run *r, uint32_t rate_hz)
{
    CHECK_NEAR(r->made, frames / (double)rate, 0.030 * rate_hz / (rate < 1.0f ? rate : 1.0f));
    CHECK(rate != 1.0f || r->jumps == 0);
    CHECK((rate < 1.0f) == (r->inserted > 0) && (rate > 1.0f) == (r->removed > 0));
}

static float amplitude(uint32_t at, double hz, uint32_t rate_hz)
{
    uint32_t n = (uint32_t)(rate_hz / hz + 0.5) * (uint32_t)(hz / 200 + 1);
    double re = 0, im = 0;
    for (uint32_t i = 0; i < n; i++) {
        re += sound[at + i] * cos(2 * PI * hz / rate_hz * i);
        im += sound[at + i] * sin(2 * PI * hz / rate_hz * i);
    }
    return (float)(2 * sqrt(re * re + im * im) / n);
}

static void tones_keep_pitch_and_level(uint32_t rate_hz)
{
    static const double tones[] = {100, 137, 220, 441, 997, 2500};
    for (int t = 0; t < 6; t++)
        for (int k = 0; k < RATES; k++) {
            uint32_t frames = 4 * rate_hz;
            for (uint32_t i = 0; i < frames; i++)
                source[i] = (float)(0.5 * sin(2 * PI * tones[t] / rate_hz * i));
            rt_stretch *s = make(rate_hz);
            run r = play(s, frames, rates[k], NULL);
            length_is_right(frames, rates[k], &r, rate_hz);
            uint32_t crossings = 0;
            double first = 0, last = 0, sharpest = 0;
            for (uint32_t i = 2; i < r.made; i++) {
                if (sound[i - 1] < 0 && sound[i] >= 0) {
                    last = i - sound[i] / (sound[i] - sound[i - 1]);
                    first = crossings++ ? first : last;
                }
                double bend = fabs(sound[i] - 2.0 * sound[i - 1] + sound[i - 2]);
                sharpest = bend > sharpest ? bend : sharpest;
            }
            CHECK_NEAR((crossings - 1) * rate_hz / (last - first), tones[t], 0.005 * tones[t]);
            double w = 2 * PI * tones[t] / rate_hz;
            CHECK(sharpest <= 0.5 * w * w * 1.5 + 2e-4); /* of a sine of .5; a click bends it far more */
            for (uint32_t i = 0; i + rate_hz / 10 < r.made; i += rate_hz / 400)
                CHECK_NEAR(20 * log10(amplitude(i, tones[t], rate_hz) / 0.5), 0, 1.0);
            free(s);
        }
}

/* Glottal pulses through two resonances, the pitch gliding by `glide` per second. */
static void vowel(uint32_t frames, double f0, double glide)
{
    double phase = 0, y[2][2] = {{0}};
    static const double formant[] = {700, 1220}, width[] = {110, 120};
    for (uint32_t i = 0; i < frames; i++) {
        phase += f0 * (1 + glide * i / 24000) / 24000;
        double x = phase >= 1 ? (phase -= 1, 1.0) : 0.0;
        for (int f = 0; f < 2; f++) {
            double r = exp(-PI * width[f] / 24000), out = x + 2 * r * cos(2 * PI * formant[f] / 24000) * y[f][0] - r * r * y[f][1];
            y[f][1] = y[f][0];
            y[f][0] = out;
            x = out * 0.1;
        }
        source[i] = (float)(x * 1.5);
    }
}

static double period(const float *x, uint32_t lo, uint32_t hi)
{
    double best = -1, c[700];
    uint32_t lag = lo;
    for (uint32_t l = lo - 1; l <= hi + 1; l++) {
        double dot = 0, e = 0, g = 0;
        for (uint32_t i = 0; i < 1200; i++)
            dot += x[i] * x[i + l], e += x[i] * x[i], g += x[i + l] * x[i + l];
        c[l] = dot / sqrt(e * g + 1e-20);
        if (c[l] > best && l >= lo && l <= hi)
            best = c[l], lag = l;
    }
    return lag + 0.5 * (c[lag - 1] - c[lag + 1]) / (c[lag - 1] - 2 * c[lag] + c[lag + 1]);
}

static double power(const float *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum / n;
}

static void vowels_keep_pitch_and_level(void)
{
    static const double voices[] = {70, 95, 118, 131, 190, 260, 390};
    for (int v = 0; v < 7; v++)
        for (int k = 0; k < RATES; k++) {
            uint32_t frames = 24000 * 2, whole = (uint32_t)lrint(24000 / voices[v]);
            vowel(frames, voices[v], 0);
            rt_stretch *s = make(24000);
            run r = play(s, frames, rates[k], NULL);
            length_is_right(frames, rates[k], &r, 24000);
            double level = 10 * log10(power(source + 4800, 24000)), mean = 0;
            uint32_t windows = 0;
            for (uint32_t i = 2400; i + 4800 < r.made; i += 480, windows++) {
                mean += period(sound + i, whole * 4 / 5, whole * 6 / 5);
                CHECK_NEAR(10 * log10(power(sound + i, whole * (1200 / whole + 1))), level, 1.0);
            }
            CHECK_NEAR(mean / windows, 24000 / voices[v], 0.005 * 24000 / voices[v]);
            free(s);
        }
}

/* Noise has no period: its power must stand all the same, also in the cross-fades. */
static void noise_keeps_its_power(unsigned long long seed)
{
    for (int k = 0; k < RATES; k++) {
        for (uint32_t i = 0; i < 24000 * 4; i++)
            source[i] = (float)(int)check_random(&seed) / 4294967296.0f;
        rt_stretch *s = make(24000);
        run r = play(s, 24000 * 4, rates[k], NULL);
        length_is_right(24000 * 4, rates[k], &r, 24000);
        for (uint32_t i = 0; i + 600 < r.made; i += 60)
            CHECK_NEAR(10 * log10(power(sound + i, 600)), 10 * log10(power(source, 24000)), 1.2);
        CHECK_NEAR(10 * log10(power(sound, r.made) / power(source, 24000 * 4)), 0, 0.15);
        free(s);
    }
}

/* Talk, quiet, digital silence and onsets: as long as it should be, and no step the source does not have. */
static void talk_and_pauses(unsigned long long seed)
{
    uint32_t frames = 24000 * 6;
    vowel(frames, 120, 0.15);
    for (uint32_t i = 0; i < frames; i++) {
        double t = i / 24000.0, gain = fmod(t, 1.0) < 0.6 ? pow(sin(PI * fmod(t, 0.2) / 0.2), 2) : fmod(t, 2.0) < 1 ? 0.002 : 0;
        source[i] = (float)(source[i] * gain + (gain == 0.002 ? 1e-4 * ((int)check_random(&seed) / 2147483648.0) : 0));
    }
    double steepest = 0;
    for (uint32_t i = 1; i < frames; i++)
        steepest = fmax(steepest, fabs(source[i] - source[i - 1]));
    for (int k = 0; k < RATES; k++) {
        rt_stretch *s = make(24000);
        run r = play(s, frames, rates[k], NULL);
        length_is_right(frames, rates[k], &r, 24000);
        for (uint32_t i = 1; i < r.made; i++)
            CHECK(fabs(sound[i] - sound[i - 1]) <= steepest * 1.25);
        free(s);
    }
}

static void any_chunking_is_the_same(unsigned long long seed)
{
    static float once[2 * MOST];
    uint32_t frames = 24000 * 3;
    vowel(frames, 120, 0.2);
    for (int k = 0; k < RATES; k++) {
        rt_stretch *s = make(24000);
        run a = play(s, frames, rates[k], NULL);
        memcpy(once, sound, a.made * sizeof *once);
        rt_stretch_reset(s);
        run b = play(s, frames, rates[k], &seed);
        CHECK_EQUAL(a.made, b.made);
        CHECK(memcmp(once, sound, a.made * sizeof *once) == 0);
        free(s);
    }
}

/* Rates of every hop, also nonsense, little at hand, a copy in the middle: whole sums, bounded output, exact copy at 1. */
static void rates_as_they_come(unsigned long long seed)
{
    uint32_t frames = MOST, given = 0;
    for (uint32_t i = 0; i < frames; i++)
        source[i] = (float)(int)check_random(&seed) / 4294967296.0f;
    vowel(frames / 2, 95, 0.1);
    rt_stretch *s = make(24000), *twin = make(24000);
    double asked = 0;
    uint64_t made = 0, put_off = 0;
    for (uint32_t at = 0; at < frames;) {
        float rate = rates[check_random(&seed) % RATES], out[RT_HOP], other[RT_HOP];
        if (check_random(&seed) % 50 == 0)
            rate = (float[]){NAN, -1.0f, INFINITY, 0.0f}[check_random(&seed) % 4];
        uint32_t most = check_random(&seed) % 5 ? 1500 : check_random(&seed) % 240;
        given = most < frames - at ? most : frames - at;
        rt_stretch_step step, again;
        memcpy(twin, s, rt_stretch_size());
        uint32_t behind = s->behind, fading = s->fade_left;
        rt_stretch_process(s, source + at, given, rate, out, RT_HOP, &step);
        rt_stretch_process(twin, source + at, given, rate, other, RT_HOP, &again);
        CHECK(memcmp(&step, &again, sizeof step) == 0 && memcmp(out, other, step.made * sizeof *out) == 0);
        if (rate == 1.0f && behind == 0 && fading == 0)
            CHECK(step.made == (given < RT_HOP ? given : RT_HOP) && memcmp(out, source + at, step.made * sizeof *out) == 0);
        for (uint32_t i = 0; i < step.made; i++)
            CHECK(fabsf(out[i]) < 1.5f);
        at += step.consumed;
        made += step.made;
        asked += step.made * (isnan(rate) ? 1.0 : rate < 0.5f ? 0.5 : rate > 2.0f ? 2.0 : rate);
        put_off += step.made == 0;
        CHECK(s->owed <= (int64_t)480 * 65536 && s->owed >= -(int64_t)480 * 65536);
        CHECK(step.consumed <= given && (given == 0 || step.made > 0));
    }
    CHECK(made > frames / 2 && asked > 0 && put_off < 2000);
    rt_stretch_reset(s);
    CHECK(rt_stretch_position(s) == 0 && s->owed == 0 && s->known == 0);
    CHECK(rt_stretch_latency(s) == 0.0);
    free(s);
    free(twin);
}

static void bad_rates(void)
{
    rt_stretch *s = check_memory(rt_stretch_size());
    CHECK_EQUAL(rt_stretch_init(s, 0), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_stretch_init(s, 48000), RT_BAD_ARGUMENT);
    free(s);
}

int main(void)
{
    unsigned long long seed = 7919;
    printf("seed %llu\n", seed);
    tones_keep_pitch_and_level(24000);
    tones_keep_pitch_and_level(8000);
    vowels_keep_pitch_and_level();
    noise_keeps_its_power(seed);
    talk_and_pauses(seed);
    any_chunking_is_the_same(seed);
    rates_as_they_come(seed);
    bad_rates();
    return CHECK_DONE();
}
