/* The resampler's sound as tables: ratio x frequency -> level, delay, purity, rejection; and its bounds. */
#include "pcm.h"
#include "resample_bench.h"

/* Promised: the pass band's end, the stop band's begin (parts of the lower Nyquist frequency), and dB. */
static const struct {
    double pass, stop, rejection;
} qualities[] = {[LIVE] = {0.90, 1.10, 80.0}, [FILES] = {0.95, 1.05, 115.0}};

static const double TURN = 6.283185307179586;

static uint32_t lower_rate(const pair *p)
{
    return p->rate_in < p->rate_out ? p->rate_in : p->rate_out;
}

static void tone(double amplitude, double hertz, uint32_t rate, uint32_t frames)
{
    for (uint32_t i = 0; i < frames; i++)
        in[i] = (float)(amplitude * sin(TURN * fmod(hertz * i / rate, 1.0)));
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

int main(void)
{
    void (*const checks[])(const pair *p) = {check_pass_band, check_stop_band, check_flush, check_impulse, check_int16};

    for_each_pair(checks, sizeof checks / sizeof *checks);
    check_bounds();
    return CHECK_DONE();
}
