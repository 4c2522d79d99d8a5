/* Concealment: transparent without loss, at the right pitch with it, silent in the end, and no click at any seam. */
#include "check.h"
#include "conceal.h"

#define PI 3.14159265358979

static rt_conceal *make(void)
{
    rt_conceal *conceal = check_memory(rt_conceal_size());
    CHECK_EQUAL(rt_conceal_init(conceal), RT_OK);
    return conceal;
}

/* Pulses of `period` samples through a decaying resonance: a steady vowel. */
static float voice(long n, int period)
{
    double t = (double)(n % period);
    return (float)(0.4 * exp(-t / 40.0) * sin(2.0 * PI * t / 34.0) + 0.1 * sin(2.0 * PI * t / period));
}

static void fill(float *hop, long first, int period)
{
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = voice(first + i, period);
}

static double energy(const float *samples, int count)
{
    double sum = 0.0;
    for (int i = 0; i < count; i++)
        sum += (double)samples[i] * samples[i];
    return sum / count;
}

static void without_loss_it_only_delays(void)
{
    rt_conceal *conceal = make();
    float in[RT_HOP], out[RT_HOP], before[RT_HOP] = {0};
    unsigned long long seed = 5;
    CHECK_EQUAL(rt_conceal_latency(conceal), RT_CONCEAL_DELAY);
    for (int hop = 0; hop < 20; hop++) {
        for (int i = 0; i < RT_HOP; i++)
            in[i] = (float)check_random(&seed) / 4294967296.0f - 0.5f;
        CHECK_EQUAL(rt_conceal_process(conceal, in, out), 0);
        for (int i = 0; i < RT_CONCEAL_DELAY; i++)
            CHECK(out[i] == before[RT_HOP - RT_CONCEAL_DELAY + i]);
        for (int i = RT_CONCEAL_DELAY; i < RT_HOP; i++)
            CHECK(out[i] == in[i - RT_CONCEAL_DELAY]);
        memcpy(before, in, sizeof in);
    }
    free(conceal);
}

/* Cut into parts of any size, sound and losses give the same samples as whole hops do. */
static void parts_are_as_hops(void)
{
    static const int lost[] = {0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0};
    static const uint32_t sizes[] = {1, 7, 90, 142, 240, 33, 60};
    rt_conceal *whole = make(), *parts = make();
    float hop[RT_HOP], expected[RT_HOP], got[RT_HOP];
    for (uint32_t n = 0, k = 0; n < sizeof lost / sizeof *lost; n++) {
        fill(hop, (long)n * RT_HOP, 201);
        rt_conceal_process(whole, lost[n] ? NULL : hop, expected);
        for (uint32_t at = 0; at < RT_HOP; k++) {
            uint32_t size = sizes[k % 7] < RT_HOP - at ? sizes[k % 7] : RT_HOP - at;
            rt_conceal_part(parts, lost[n] ? NULL : hop + at, size, got + at);
            at += size;
        }
        CHECK(memcmp(expected, got, sizeof got) == 0);
        CHECK_EQUAL(rt_conceal_lost(parts), rt_conceal_lost(whole));
    }
    free(whole);
    free(parts);
}

/* A loss may begin and end inside a hop, and no sample leaps further there than the vowel itself does. */
static void losses_of_odd_lengths_do_not_click(void)
{
    for (uint32_t length = 1; length < 700; length += 23) {
        rt_conceal *conceal = make();
        float sound[RT_HOP], out[RT_HOP], last = 0.0f, steepest = 0.0f, leap = 0.0f;
        long at = 0;
        for (int part = 0; part < 60; part++) {
            uint32_t count = part == 30 ? 100 : part == 32 ? 77 : RT_HOP, gone = part == 31 ? length : 0;
            while (gone > 0) {
                uint32_t n = gone < RT_HOP ? gone : RT_HOP;
                rt_conceal_part(conceal, NULL, n, out);
                for (uint32_t i = 0; i < n; last = out[i++])
                    leap = fmaxf(leap, fabsf(out[i] - last));
                gone -= n;
                at += n;
            }
            for (uint32_t i = 0; i < count; i++)
                sound[i] = voice(at + i, 203);
            rt_conceal_part(conceal, sound, count, out);
            for (uint32_t i = 0; i < count; last = out[i++])
                *(part > 3 && part < 31 ? &steepest : &leap) = fmaxf(part > 3 && part < 31 ? steepest : part > 3 ? leap : 0.0f, fabsf(out[i] - last));
            at += count;
        }
        CHECK(leap <= 1.1f * steepest);
        free(conceal);
    }
}

/* In place, a steady vowel with one hop lost is hardly told from the vowel, at every pitch there is. */
static void a_vowel_goes_on_at_its_pitch(void)
{
    for (int period = RT_CONCEAL_LEAST + 3; period <= RT_CONCEAL_MOST; period += 13) {
        rt_conceal *conceal = make();
        float hop[RT_HOP];
        double error = 0.0, wanted = 0.0;
        for (int n = 0; n < 16; n++) {
            fill(hop, (long)n * RT_HOP, period);
            int lost = n == 12;
            CHECK_EQUAL(rt_conceal_process(conceal, lost ? NULL : hop, hop), lost);
            CHECK_EQUAL(rt_conceal_lost(conceal), lost);
            for (int i = 0; i < RT_HOP && n > 1; i++) {
                double is = voice((long)n * RT_HOP + i - RT_CONCEAL_DELAY, period);
                error += (hop[i] - is) * (hop[i] - is);
                wanted += is * is;
            }
        }
        CHECK(rt_conceal_pitch(conceal) % (uint32_t)period <= 1 || rt_conceal_pitch(conceal) % (uint32_t)period >= (uint32_t)period - 1);
        CHECK(error < 1e-4 * wanted); /* 40 dB below, over one lost hop in sixteen */
        free(conceal);
    }
}

/* In the second and third hop too, where more periods are repeated, only the level is lower. */
static void it_stays_in_phase(void)
{
    for (int period = RT_CONCEAL_LEAST + 3; period <= RT_CONCEAL_MOST; period += 13) {
        rt_conceal *conceal = make();
        float hop[RT_HOP];
        double both = 0.0, made = 0.0, wanted = 0.0;
        for (int n = 0; n < 15; n++) {
            fill(hop, (long)n * RT_HOP, period);
            rt_conceal_process(conceal, n >= 12 ? NULL : hop, hop);
            for (int i = 0; i < RT_HOP && n > 12; i++) {
                double is = voice((long)n * RT_HOP + i - RT_CONCEAL_DELAY, period);
                both += is * hop[i];
                made += (double)hop[i] * hop[i];
                wanted += is * is;
            }
        }
        CHECK(both > 0.95 * sqrt(made * wanted));
        free(conceal);
    }
}

static void a_long_loss_fades_to_nothing(void)
{
    rt_conceal *conceal = make();
    float hop[RT_HOP];
    for (long n = 0; n < 12; n++) {
        fill(hop, n * RT_HOP, 120); /* each hop holds whole periods, so that only the level tells them apart */
        rt_conceal_process(conceal, hop, hop);
    }
    double last = energy(hop, RT_HOP), full = last;
    for (int lost = 1; lost <= 12; lost++) {
        CHECK_EQUAL(rt_conceal_process(conceal, NULL, hop), 1);
        CHECK_EQUAL(rt_conceal_lost(conceal), lost);
        double now = energy(hop + RT_CONCEAL_DELAY, RT_HOP - RT_CONCEAL_DELAY);
        CHECK(lost > 1 ? now < last || now == 0.0 : now > 0.5 * full);
        CHECK(lost < 5 || now < 0.2 * full);
        for (int i = lost > 7 ? 0 : RT_CONCEAL_DELAY; i < RT_HOP && lost > 6; i++) /* 60 ms, and the delay */
            CHECK(hop[i] == 0.0f);
        last = now;
    }
    free(conceal);
}

/* A smooth sound whose pitch and level are never the same twice, so that no two periods are alike. */
static float glide(double n)
{
    double t = n / RT_RATE;
    return (float)((0.25 + 0.1 * sin(2.0 * PI * 3.1 * t)) * sin(2.0 * PI * (130.0 * t + 4.0 * sin(2.0 * PI * 2.3 * t))));
}

/* Losses of any length, anywhere in it, coming back elsewhere: no step between two samples is out of proportion to its own. */
static void no_seam_clicks(void)
{
    unsigned long long seed = 11;
    float largest = 0.0f, worst = 0.0f;
    for (int n = 0; n < 3 * RT_RATE; n++)
        largest = fmaxf(largest, fabsf(glide(n + 1) - glide(n)));
    for (int run = 0; run < 300; run++) {
        long lost = 1 + (long)(check_random(&seed) % 9), from = 12 + (long)(check_random(&seed) % 30);
        double shift = check_random(&seed) % 1000;
        rt_conceal *conceal = make();
        float hop[RT_HOP], before = 0.0f;
        for (long n = 0; n < from + lost + 4; n++) {
            for (int i = 0; i < RT_HOP; i++)
                hop[i] = glide((double)(n * RT_HOP + i) + (n >= from + lost ? shift : 0.0));
            rt_conceal_process(conceal, n >= from && n < from + lost ? NULL : hop, hop);
            for (int i = 0; i < RT_HOP; i++) {
                worst = fmaxf(worst, fabsf(hop[i] - before));
                before = hop[i];
            }
        }
        free(conceal);
    }
    CHECK(worst < 2.2f * largest); /* a step without overlap is up to 40 times it */
}

static void silence_stays_silence(void)
{
    rt_conceal *conceal = make();
    float hop[RT_HOP] = {0}, out[RT_HOP];
    for (int n = 0; n < 30; n++) {
        rt_conceal_process(conceal, n % 3 ? hop : NULL, out);
        for (int i = 0; i < RT_HOP; i++)
            CHECK(out[i] == 0.0f);
    }
    free(conceal);
}

static void bad_samples_are_silence(void)
{
    rt_conceal *conceal = make();
    float hop[RT_HOP], out[RT_HOP];
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = i % 4 == 0 ? NAN : i % 4 == 1 ? INFINITY : i % 4 == 2 ? 1e30f : 0.5f;
    for (int n = 0; n < 40; n++) {
        rt_conceal_process(conceal, n % 5 < 2 ? NULL : hop, out);
        for (int i = 0; i < RT_HOP; i++)
            CHECK(fabsf(out[i]) <= 8.0f);
    }
    free(conceal);
}

/* A running block is a value: its copy goes on alike; a reset one is as new. */
static void a_copy_goes_on_alike(void)
{
    rt_conceal *one = make(), *two = make(), *fresh = make();
    float hop[RT_HOP], a[RT_HOP], b[RT_HOP];
    for (long n = 0; n < 12; n++) {
        fill(hop, n * RT_HOP, 170);
        rt_conceal_process(one, n == 10 ? NULL : hop, a);
    }
    memcpy(two, one, rt_conceal_size());
    for (long n = 12; n < 20; n++) {
        fill(hop, n * RT_HOP, 170);
        rt_conceal_process(one, n == 14 ? NULL : hop, a);
        rt_conceal_process(two, n == 14 ? NULL : hop, b);
        CHECK(memcmp(a, b, sizeof a) == 0);
    }
    rt_conceal_reset(two);
    CHECK(memcmp(two, fresh, sizeof *two) == 0);
    free(one);
    free(two);
    free(fresh);
}

int main(void)
{
    without_loss_it_only_delays();
    parts_are_as_hops();
    losses_of_odd_lengths_do_not_click();
    a_vowel_goes_on_at_its_pitch();
    it_stays_in_phase();
    a_long_loss_fades_to_nothing();
    no_seam_clicks();
    silence_stays_silence();
    bad_samples_are_silence();
    a_copy_goes_on_alike();
    return CHECK_DONE();
}
