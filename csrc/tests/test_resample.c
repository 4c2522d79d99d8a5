/* The resampler's promises as tables: ratio x frequency -> level, delay, purity, rejection; cuts change nothing. */
#include "check.h"
#include "resample.h"

enum { MOST_IN = 192000 / 4 + 4096, MOST_OUT = MOST_IN };

typedef struct {
    uint32_t rate_in, rate_out;
    double delay_ms; /* promised at most */
} pair;

static const pair pairs[] = {
    {48000, 24000, 1.1}, {24000, 48000, 1.1}, {44100, 24000, 1.1}, {24000, 44100, 1.1}, {16000, 24000, 1.6},
    {24000, 16000, 1.6}, {8000, 24000, 3.2},  {24000, 8000, 3.2},  {96000, 24000, 1.1}, {22050, 24000, 1.1},
    {11025, 24000, 2.2}, {48000, 8000, 3.2},  {192000, 8000, 3.2}, {8000, 192000, 3.2},
    {8000, 44100, 3.2},   /* interpolated from here on: L is 441 and more, or the table would be large */
    {44100, 8001, 3.2},   {24000, 23999, 1.1}, {192000, 11025, 2.2}, {191999, 8001, 3.2},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static const double TURN = 6.283185307179586;

static float in[MOST_IN], out[MOST_OUT], again[MOST_OUT];

static rt_resample *resampler(uint32_t rate_in, uint32_t rate_out)
{
    rt_resample *r = check_memory(rt_resample_size(rate_in, rate_out));
    CHECK_EQUAL(rt_resample_init(r, rate_in, rate_out), RT_OK);
    return r;
}

static uint32_t lower_rate(const pair *p)
{
    return p->rate_in < p->rate_out ? p->rate_in : p->rate_out;
}

static void tone(double amplitude, double hertz, uint32_t rate, uint32_t frames)
{
    for (uint32_t i = 0; i < frames; i++)
        in[i] = (float)(amplitude * sin(TURN * fmod(hertz * i / rate, 1.0)));
}

static void noise(uint32_t frames, unsigned long long seed)
{
    for (uint32_t i = 0; i < frames; i++)
        in[i] = ((float)(check_random(&seed) % 65536) - 32768.0f) / 32768.0f;
}

typedef struct {
    double gain_db, delay_error_us, snr_db;
} fit;

/* Least squares of a tone delayed by `delay` seconds on out[first..last): what is not that tone is noise. */
static fit fit_tone(double amplitude, double hertz, double delay, uint32_t rate, uint32_t first, uint32_t last)
{
    double ss = 0, cc = 0, sc = 0, ys = 0, yc = 0, rest = 0;
    fit result;

    for (uint32_t n = first; n < last; n++) {
        double angle = TURN * hertz * ((double)n / rate - delay), s = sin(angle), c = cos(angle);
        ss += s * s, cc += c * c, sc += s * c, ys += out[n] * s, yc += out[n] * c;
    }
    double det = ss * cc - sc * sc, a = (ys * cc - yc * sc) / det, b = (yc * ss - ys * sc) / det;
    for (uint32_t n = first; n < last; n++) {
        double angle = TURN * hertz * ((double)n / rate - delay), e = out[n] - a * sin(angle) - b * cos(angle);
        rest += e * e;
    }
    result.gain_db = 10.0 * log10((a * a + b * b) / (amplitude * amplitude));
    result.delay_error_us = 1e6 * atan2(-b, a) / (TURN * hertz);
    result.snr_db = 10.0 * log10(0.5 * (a * a + b * b) * (last - first) / rest);
    return result;
}

static void check_pass_band(const pair *p)
{
    static const double parts[] = {0.02, 0.31, 0.63, 0.90}; /* of the lower Nyquist frequency */
    rt_resample *r = resampler(p->rate_in, p->rate_out);
    uint32_t frames = p->rate_in / 8, settled = p->rate_out / 50;

    CHECK(rt_resample_latency(r) * 1e3 <= p->delay_ms);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        double hertz = parts[i] * lower_rate(p) / 2;
        tone(0.5, hertz, p->rate_in, frames);
        rt_resample_reset(r);
        uint32_t count = rt_resample_process(r, in, frames, out, MOST_OUT);
        fit f = fit_tone(0.5, hertz, rt_resample_latency(r), p->rate_out, settled, count);
        if (getenv("SHOW"))
            printf("%6u %6u %8.1f Hz  %+.4f dB  %+.3f us  SNR %.1f dB\n", p->rate_in, p->rate_out, hertz, f.gain_db,
                   f.delay_error_us, f.snr_db);
        CHECK_NEAR(f.gain_db, 0.0, 0.1);
        CHECK_NEAR(f.delay_error_us, 0.0, 1.0);
        CHECK(f.snr_db >= 80.0); /* images of the tone are what is left, so this is their rejection too */
    }
    free(r);
}

static void check_stop_band(const pair *p)
{
    static const double parts[] = {1.10, 1.27, 1.5, 1.99, 2.01, 3.3, 7.7, 23.9};
    rt_resample *r = resampler(p->rate_in, p->rate_out);
    uint32_t frames = p->rate_in / 8, settled = p->rate_out / 50;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        double hertz = parts[i] * lower_rate(p) / 2, sum = 0;
        if (hertz >= p->rate_in / 2.0)
            break;
        tone(0.5, hertz, p->rate_in, frames);
        rt_resample_reset(r);
        uint32_t count = rt_resample_process(r, in, frames, out, MOST_OUT);
        for (uint32_t n = settled; n < count; n++)
            sum += (double)out[n] * out[n];
        double db = 10.0 * log10(sum / (count - settled) / 0.125);
        if (getenv("SHOW"))
            printf("%6u %6u %8.1f Hz  alias %.1f dB\n", p->rate_in, p->rate_out, hertz, db);
        CHECK(db <= -80.0);
    }
    free(r);
}

/* Random cuts: the same samples bit for bit, the running count exact, and the forecasts true. */
static void check_cuts(const pair *p, unsigned long long seed)
{
    rt_resample *r = resampler(p->rate_in, p->rate_out);
    uint32_t frames = p->rate_in / 10, whole, taken = 0, written = 0;

    noise(frames, seed);
    whole = rt_resample_process(r, in, frames, out, MOST_OUT);
    CHECK_EQUAL(whole, ((uint64_t)frames * r->up + r->down - 1) / r->down);
    rt_resample_reset(r);
    while (taken < frames) {
        uint32_t now = check_random(&seed) % (check_random(&seed) % 8 ? 64 : 1500);
        now = now < frames - taken ? now : frames - taken;
        uint32_t forecast = rt_resample_out(r, now);
        uint32_t got = rt_resample_process(r, in + taken, now, again + written, MOST_OUT - written);
        CHECK_EQUAL(got, forecast);
        taken += now;
        written += got;
        CHECK(fabs((double)taken * p->rate_out / p->rate_in - written) <= 1.0);
    }
    CHECK_EQUAL(written, whole);
    CHECK(memcmp(out, again, whole * sizeof *out) == 0);
    free(r);
}

static void check_copy_in_mid_stream(const pair *p)
{
    size_t size = rt_resample_size(p->rate_in, p->rate_out);
    rt_resample *first = resampler(p->rate_in, p->rate_out), *second = check_memory(size);
    uint32_t half = p->rate_in / 100 + 7, n;

    noise(3 * half, 5);
    rt_resample_process(first, in, half, out, MOST_OUT);
    memcpy(second, first, size);
    n = rt_resample_process(first, in + half, 2 * half, out, MOST_OUT);
    memset(first, 0xFF, size);
    CHECK_EQUAL(rt_resample_process(second, in + half, 2 * half, again, MOST_OUT), n);
    CHECK(memcmp(out, again, n * sizeof *out) == 0);
    free(first);
    free(second);
}

/* The last input sample is a click: the flushed stream holds it whole, at its place plus the delay, and ends there. */
static void check_flush(const pair *p)
{
    rt_resample *r = resampler(p->rate_in, p->rate_out);
    uint32_t frames = p->rate_in / 100 + 3, span = r->up > r->down ? r->up : r->down;
    double delay = rt_resample_latency(r) * p->rate_out, moment = 0, sum = 0;

    for (int run = 0; run < 2; run++) { /* the second run shows that flush leaves a fresh stream */
        memset(in, 0, frames * sizeof *in);
        in[frames - 1] = 1.0f;
        uint32_t n = rt_resample_process(r, in, frames, out, MOST_OUT), tail = rt_resample_tail(r);
        CHECK_EQUAL(rt_resample_flush(r, out + n, MOST_OUT - n), tail);
        n += tail;
        CHECK_EQUAL(n, ((uint64_t)frames * r->up + 24ull * span + r->down - 1) / r->down);
        uint32_t top = 0;
        for (uint32_t i = 0; i < n; i++)
            top = fabsf(out[i]) > fabsf(out[top]) ? i : top;
        /* Going down the click may fall between the last output and the end of the stream. */
        CHECK_NEAR(top, (frames - 1.0) * r->up / r->down + delay, r->up > r->down ? 0.5 : 1.0);
    }

    for (uint32_t i = 0; i < frames; i++) /* a slow bump that ends with the input: its weight must be all there */
        in[i] = i > frames / 2 ? 1.0f : 0.0f;
    uint32_t n = rt_resample_process(r, in, frames, out, MOST_OUT);
    n += rt_resample_flush(r, out + n, MOST_OUT - n);
    for (uint32_t i = 0; i < n; i++)
        sum += out[i], moment += (double)i * out[i];
    double wanted = (double)(frames - 1 - frames / 2) * p->rate_out / p->rate_in;
    CHECK_NEAR(sum, wanted, 1.0 + 0.02 * wanted); /* half of the last edge lies beyond the end */
    free(r);
}

static void check_broken_input_is_forgotten(const pair *p)
{
    rt_resample *r = resampler(p->rate_in, p->rate_out);
    uint32_t frames = p->rate_in / 100, window = 2 * (uint32_t)(rt_resample_latency(r) * p->rate_out) + 4;
    const float broken[] = {NAN, -NAN, INFINITY, -INFINITY, 3.0e38f, -3.0e38f, 1.0e-42f};

    noise(4 * frames, 11);
    rt_resample_process(r, in, 4 * frames, out, MOST_OUT);
    for (uint32_t i = 0; i < frames; i++)
        in[i] = broken[i % 7];
    rt_resample_reset(r);
    uint32_t n = rt_resample_process(r, in, 4 * frames, again, MOST_OUT);
    for (uint32_t i = 0; i < n; i++)
        CHECK(isfinite(again[i]));
    uint32_t clean = (uint32_t)((uint64_t)frames * p->rate_out / p->rate_in) + window;
    CHECK(clean < n);
    CHECK(memcmp(out + clean, again + clean, (n - clean) * sizeof *out) == 0);
    free(r);
}

static void check_silence_is_clean(const pair *p)
{
    rt_resample *r = resampler(p->rate_in, p->rate_out);
    uint32_t frames = p->rate_in / 50;

    noise(frames, 3);
    rt_resample_process(r, in, frames, out, MOST_OUT);
    for (uint32_t i = 0; i < frames; i++)
        in[i] = i < 200 ? ldexpf(1.0f, -(int)i) : i % 2 ? 1.0e-30f : -1.0e-41f; /* fades out through the subnormals */
    uint32_t n = rt_resample_process(r, in, frames, out, MOST_OUT);
    for (uint32_t i = 0; i < n; i++)
        CHECK(fpclassify(out[i]) != FP_SUBNORMAL);
    memset(in, 0, frames * sizeof *in);
    n = rt_resample_process(r, in, frames, out, MOST_OUT);
    for (uint32_t i = n / 2; i < n; i++)
        CHECK(out[i] == 0.0f);
    free(r);
}

static void check_short_room(const pair *p)
{
    rt_resample *r = resampler(p->rate_in, p->rate_out);
    uint32_t frames = p->rate_in / 50;

    noise(2 * frames, 8);
    uint32_t whole = rt_resample_process(r, in, 2 * frames, out, MOST_OUT);
    rt_resample_reset(r);
    uint32_t first = rt_resample_out(r, frames);
    again[5] = 55.0f;
    CHECK_EQUAL(rt_resample_process(r, in, frames, again, 5), 5);
    CHECK(again[5] == 55.0f);
    uint32_t n = rt_resample_process(r, in + frames, frames, again, MOST_OUT);
    CHECK_EQUAL(first + n, whole);
    CHECK(memcmp(out + first, again, n * sizeof *out) == 0);
    free(r);
}

static void check_equal_rates(void)
{
    rt_resample *r = resampler(24000, 24000);

    noise(1000, 4);
    CHECK(rt_resample_latency(r) == 0.0);
    CHECK_EQUAL(rt_resample_process(r, in, 1000, out, MOST_OUT), 1000);
    CHECK(memcmp(in, out, 1000 * sizeof *in) == 0);
    CHECK_EQUAL(rt_resample_out(r, 17), 17);
    CHECK_EQUAL(rt_resample_flush(r, out, MOST_OUT), 0);
    free(r);
}

static void check_bounds(void)
{
    rt_resample *r = check_memory(rt_resample_size(48000, 24000));
    size_t largest = 0;

    for (uint32_t a = 8000; a <= 192000; a += 811)
        for (uint32_t b = 8000; b <= 192000; b += 25) {
            size_t size = rt_resample_size(a, b);
            CHECK(size > 0);
            largest = size > largest ? size : largest;
        }
    for (uint32_t down = 1; down <= 24 * 320; down += 7) /* just below the limit of the exact table */
        for (uint32_t up = 1; up <= 320; up++) {
            size_t size = rt_resample_size(25 * down, 25 * up);
            largest = size > largest ? size : largest;
        }
    if (getenv("SHOW"))
        printf("largest state %zu bytes, 48 to 24 kHz %zu\n", largest, rt_resample_size(48000, 24000));
    CHECK(largest <= 192 * 1024);
    CHECK_EQUAL(rt_resample_size(7999, 24000), 0);
    CHECK_EQUAL(rt_resample_size(24000, 192001), 0);
    CHECK_EQUAL(rt_resample_init(r, 0, 24000), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_resample_init(r, 24000, 0), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_resample_init(NULL, 24000, 48000), RT_BAD_ARGUMENT);
    free(r);
}

int main(void)
{
    for (int i = 0; i < PAIRS; i++) {
        int before = check_failures;
        check_pass_band(&pairs[i]);
        check_stop_band(&pairs[i]);
        for (unsigned seed = 1; seed <= 3; seed++)
            check_cuts(&pairs[i], seed);
        check_copy_in_mid_stream(&pairs[i]);
        check_flush(&pairs[i]);
        check_broken_input_is_forgotten(&pairs[i]);
        check_silence_is_clean(&pairs[i]);
        check_short_room(&pairs[i]);
        if (check_failures > before)
            fprintf(stderr, "  with %u to %u Hz\n", pairs[i].rate_in, pairs[i].rate_out);
    }
    check_equal_rates();
    check_bounds();
    return CHECK_DONE();
}
