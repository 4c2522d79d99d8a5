/* The resampler's promises as tables: ratio x frequency -> level, delay, purity, rejection; cuts change nothing. */
#include "check.h"
#include "pcm.h"
#include "resample.h"

enum { MOST_IN = 192000 / 4 + 4096, MOST_OUT = MOST_IN };

typedef struct {
    uint32_t rate_in, rate_out;
    double delay_ms; /* promised at most */
    uint32_t quality, tunable;
} pair;

enum { LIVE = RT_RESAMPLE_LIVE, FILES = RT_RESAMPLE_FILE };

/* Promised: the pass band's end, the stop band's begin (parts of the lower Nyquist frequency), and dB. */
static const struct {
    double pass, stop, rejection;
} qualities[] = {[LIVE] = {0.90, 1.10, 80.0}, [FILES] = {0.95, 1.05, 115.0}};

static const pair pairs[] = {
    {48000, 24000, 1.1}, {24000, 48000, 1.1}, {44100, 24000, 1.1}, {24000, 44100, 1.1}, {16000, 24000, 1.6},
    {24000, 16000, 1.6}, {8000, 24000, 3.2},  {24000, 8000, 3.2},  {96000, 24000, 1.1}, {22050, 24000, 1.1},
    {11025, 24000, 2.2}, {48000, 8000, 3.2},  {192000, 8000, 3.2}, {8000, 192000, 3.2},
    {8000, 44100, 3.2},   /* interpolated from here on: L is 441 and more, or the table would be large */
    {44100, 8001, 3.2},   {24000, 23999, 1.1}, {192000, 11025, 2.2}, {191999, 8001, 3.2},
    {24000, 24000, 1.1, LIVE, 1}, {48000, 24000, 1.1, LIVE, 1}, {24000, 48000, 1.1, LIVE, 1},
    {8000, 24000, 3.2, LIVE, 1},  {44100, 48000, 1.1, LIVE, 1}, {192000, 8000, 3.2, LIVE, 1},
    {48000, 24000, 3.4, FILES},   {24000, 48000, 3.4, FILES},   {44100, 24000, 3.4, FILES}, {22050, 24000, 3.7, FILES},
    {8000, 24000, 10.1, FILES},   {44100, 48000, 1.9, FILES},   {44100, 16000, 5.1, FILES}, {8000, 44100, 10.1, FILES},
    {192000, 8000, 10.1, FILES},  {191999, 8001, 10.1, FILES},
    {24000, 24000, 3.4, FILES, 1}, {44100, 24000, 3.4, FILES, 1},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static const double TURN = 6.283185307179586;

static float in[MOST_IN], out[MOST_OUT], again[MOST_OUT];

static rt_resample_config config_of(const pair *p)
{
    return (rt_resample_config){p->rate_in, p->rate_out, p->quality, p->tunable};
}

static rt_resample *resampler(const pair *p)
{
    rt_resample_config config = config_of(p);
    rt_resample *r = check_memory(rt_resample_size_for(&config));
    CHECK_EQUAL(rt_resample_init_for(r, &config), RT_OK);
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
    const double parts[] = {0.02, 0.31, 0.63, qualities[p->quality].pass};
    rt_resample *r = resampler(p);
    uint32_t frames = p->rate_in / 8, settled = p->rate_out / 40;

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
        CHECK(f.snr_db >= qualities[p->quality].rejection); /* what is left is the images of the tone */
    }
    free(r);
}

static void check_stop_band(const pair *p)
{
    const double parts[] = {qualities[p->quality].stop, 1.27, 1.5, 1.99, 2.01, 3.3, 7.7, 23.9};
    rt_resample *r = resampler(p);
    uint32_t frames = p->rate_in / 8, settled = p->rate_out / 40;

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
        CHECK(db <= -qualities[p->quality].rejection);
    }
    free(r);
}

/* Random cuts: the same samples bit for bit, the running count exact, and the forecasts true. */
static void check_cuts(const pair *p, unsigned long long seed)
{
    rt_resample *r = resampler(p);
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
    rt_resample_config config = config_of(p);
    size_t size = rt_resample_size_for(&config);
    rt_resample *first = resampler(p), *second = check_memory(size);
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
    rt_resample *r = resampler(p);
    uint32_t frames = p->rate_in / 100 + 3, span = r->up > r->down ? r->up : r->down;
    double delay = rt_resample_latency(r) * p->rate_out, moment = 0, sum = 0;

    for (int run = 0; run < 2; run++) { /* the second run shows that flush leaves a fresh stream */
        memset(in, 0, frames * sizeof *in);
        in[frames - 1] = 1.0f;
        uint32_t n = rt_resample_process(r, in, frames, out, MOST_OUT), tail = rt_resample_tail(r);
        CHECK_EQUAL(rt_resample_flush(r, out + n, MOST_OUT - n), tail);
        n += tail;
        CHECK_EQUAL(n, ((uint64_t)frames * r->up + (uint64_t)r->half * span + r->down - 1) / r->down);
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

/* The centre of an impulse lies at its place plus rt_resample_latency, to a thousandth of an output sample. */
static void check_impulse(const pair *p)
{
    rt_resample *r = resampler(p);
    uint32_t frames = p->rate_in / 20, place = p->rate_in / 100 + 7;
    double sum = 0, moment = 0;

    memset(in, 0, frames * sizeof *in);
    in[place] = 1.0f;
    uint32_t n = rt_resample_process(r, in, frames, out, MOST_OUT);
    for (uint32_t i = 0; i < n; i++)
        sum += out[i], moment += (double)i * out[i];
    CHECK_NEAR(moment / sum, ((double)place / p->rate_in + rt_resample_latency(r)) * p->rate_out, 1e-3);
    free(r);
}

/* int16 in and out is the float path rounded, also where the two take turns on one stream. */
static void check_int16(const pair *p)
{
    static int16_t whole_in[MOST_IN], whole_out[MOST_OUT], rounded[MOST_OUT];
    rt_resample *r = resampler(p), *real = resampler(p);
    uint32_t frames = p->rate_in / 50;
    unsigned long long seed = 21;

    for (uint32_t i = 0; i < 2 * frames; i++)
        whole_in[i] = (int16_t)check_random(&seed);
    rt_pcm_to_float(whole_in, in, 2 * frames);
    for (int part = 0; part < 2; part++) {
        uint32_t due = rt_resample_out(r, frames);
        uint32_t n = rt_resample_process(real, in + part * frames, frames, out, MOST_OUT);
        whole_out[due] = 77;
        CHECK_EQUAL(rt_resample_process_int16(r, whole_in + part * frames, frames, whole_out, MOST_OUT), due);
        rt_pcm_from_float(out, rounded, n);
        CHECK_EQUAL(n, due);
        CHECK(whole_out[due] == 77);
        CHECK(memcmp(whole_out, rounded, n * sizeof *rounded) == 0);
    }
    uint32_t n = rt_resample_flush(real, out, MOST_OUT);
    rt_pcm_from_float(out, rounded, n);
    CHECK_EQUAL(rt_resample_flush_int16(r, whole_out, MOST_OUT), n);
    CHECK(memcmp(whole_out, rounded, n * sizeof *rounded) == 0);

    whole_out[3] = 77; /* short room */
    CHECK_EQUAL(rt_resample_process_int16(r, whole_in, frames, whole_out, 3), 3);
    CHECK(whole_out[3] == 77);
    free(r);
    free(real);
}

/* Tuned here and there: forecasts hold, and cutting the stream between two tunings changes nothing. */
static void check_tuning(const pair *p)
{
    rt_resample *r = resampler(p), *cut = resampler(p);
    uint32_t frames = p->rate_in / 100;
    unsigned long long seed = 9;

    noise(20 * frames, 31);
    CHECK_EQUAL(rt_resample_tune(r, 0.0), p->tunable ? RT_OK : RT_BAD_ARGUMENT);
    for (uint32_t block = 0; p->tunable && block < 20; block++) {
        double ppm = (double)(check_random(&seed) % 1000001) / 1000.0 - 500.0;
        const float *from = in + block * frames;
        CHECK_EQUAL(rt_resample_tune(r, ppm), RT_OK);
        CHECK_EQUAL(rt_resample_tune(cut, ppm), RT_OK);
        uint32_t due = rt_resample_out(r, frames), taken = 0, written = 0;
        CHECK_EQUAL(rt_resample_process(r, from, frames, out, MOST_OUT), due);
        for (uint32_t now; taken < frames; taken += now) {
            now = check_random(&seed) % 90;
            now = now < frames - taken ? now : frames - taken;
            written += rt_resample_process(cut, from + taken, now, again + written, MOST_OUT - written);
        }
        CHECK_EQUAL(written, due);
        CHECK(memcmp(out, again, due * sizeof *out) == 0);
    }
    uint64_t before = r->advance;
    CHECK_EQUAL(rt_resample_tune(r, 500.1), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_resample_tune(r, -INFINITY), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_resample_tune(r, NAN), RT_BAD_ARGUMENT);
    CHECK(r->advance == before);
    free(r);
    free(cut);
}

static void check_broken_input_is_forgotten(const pair *p)
{
    rt_resample *r = resampler(p);
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
    rt_resample *r = resampler(p);
    uint32_t frames = p->rate_in / 10;

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
    rt_resample *r = resampler(p);
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
    rt_resample *r = resampler(&(pair){24000, 24000, 0.0, FILES, 0});

    noise(1000, 4);
    CHECK(rt_resample_latency(r) == 0.0);
    CHECK_EQUAL(rt_resample_process(r, in, 1000, out, MOST_OUT), 1000);
    CHECK(memcmp(in, out, 1000 * sizeof *in) == 0);
    CHECK_EQUAL(rt_resample_out(r, 17), 17);
    CHECK_EQUAL(rt_resample_flush(r, out, MOST_OUT), 0);
    free(r);
}

/* The largest state of a few thousand rates and of the ratios just below the limits of the exact table. */
static size_t largest_state(uint32_t quality, uint32_t tunable)
{
    rt_resample_config c = {8000, 8000, quality, tunable};
    size_t largest = 0;

    for (c.rate_in = 8000; c.rate_in <= 192000; c.rate_in += 811)
        for (c.rate_out = 8000; c.rate_out <= 192000; c.rate_out += 25) {
            size_t size = rt_resample_size_for(&c);
            CHECK(size > 0);
            largest = size > largest ? size : largest;
        }
    for (uint32_t down = 1; down <= 24 * 320; down += 7)
        for (uint32_t up = 1; up <= 320; up++) {
            c.rate_in = 25 * down, c.rate_out = 25 * up;
            size_t size = rt_resample_size_for(&c);
            largest = size > largest ? size : largest;
        }
    if (getenv("SHOW"))
        printf("quality %u, tunable %u: largest state %zu bytes\n", quality, tunable, largest);
    return largest;
}

static void check_bounds(void)
{
    rt_resample *r = check_memory(rt_resample_size(48000, 24000));
    const rt_resample_config refused[] = {
        {7999, 24000, LIVE, 0}, {24000, 192001, LIVE, 0}, {0, 24000, LIVE, 0},    {24000, 0, LIVE, 0},
        {24000, 48000, 2, 0},   {24000, 48000, LIVE, 2},  {24000, 1000000000, FILES, 0},
    };

    for (uint32_t quality = LIVE; quality <= FILES; quality++)
        for (uint32_t tunable = 0; tunable < 2; tunable++)
            CHECK(largest_state(quality, tunable) <= 192 * 1024);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        CHECK_EQUAL(rt_resample_size_for(&refused[i]), 0);
        CHECK_EQUAL(rt_resample_init_for(r, &refused[i]), RT_BAD_ARGUMENT);
    }
    CHECK_EQUAL(rt_resample_size_for(NULL), 0);
    CHECK_EQUAL(rt_resample_init_for(r, NULL), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_resample_init(r, 0, 24000), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_resample_init(NULL, 24000, 48000), RT_BAD_ARGUMENT);
    free(r);
}

/* A forecast of many frames: what a loop over single blocks would add up to. */
static void check_long_forecast(void)
{
    rt_resample *r = resampler(&(pair){191999, 8001, 0.0, LIVE, 1});

    CHECK_EQUAL(rt_resample_tune(r, -500.0), RT_OK);
    CHECK_EQUAL(rt_resample_out(r, 4000000000u), 166771755u); /* ceil(4e9 * 8001 / (191999 * 0.9995)) */
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
        check_impulse(&pairs[i]);
        check_int16(&pairs[i]);
        check_tuning(&pairs[i]);
        check_broken_input_is_forgotten(&pairs[i]);
        check_silence_is_clean(&pairs[i]);
        check_short_room(&pairs[i]);
        if (check_failures > before)
            fprintf(stderr, "  with %u to %u Hz\n", pairs[i].rate_in, pairs[i].rate_out);
    }
    check_equal_rates();
    check_long_forecast();
    check_bounds();
    return CHECK_DONE();
}
