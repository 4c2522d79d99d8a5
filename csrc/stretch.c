#include "stretch.h"

#include "vec.h"

#include <math.h>
#include <string.h>

#define ONE 65536             /* of rates and of what is owed */
#define GOOD_MATCH 0.5f       /* a jump with less resemblance is put off */
#define SILENT_POWER 1e-9f    /* mean square */

static const float PI_F = 3.14159265358979f;

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t most(uint32_t a, uint32_t b) { return a > b ? a : b; }

size_t rt_stretch_size(void) { return RT_ALIGN64(sizeof(rt_stretch)); }

int rt_stretch_init(rt_stretch *s, uint32_t rate_hz)
{
    if (rate_hz != 8000 && rate_hz != 24000)
        return RT_BAD_ARGUMENT;
    memset(s, 0, sizeof *s);
    s->rate_hz = rate_hz;
    s->hop = rate_hz / 100;
    s->fade = s->hop / 2;
    s->lag_least = s->hop;
    s->lag_most = 2 * s->hop;
    s->past_most = s->lag_most + s->fade;
    s->coarse = rate_hz == 24000 ? 4 : 1;
    return RT_OK;
}

void rt_stretch_reset(rt_stretch *s) RT_NONBLOCKING
{
    uint32_t rate_hz = s->rate_hz;
    rt_stretch_init(s, rate_hz);
}

/* ---- the search ---- */

/* Both lengths are whole multiples of 4. */
static float product(const float *a, const float *b, uint32_t n)
{
    rt_vec sum = {0};
    for (uint32_t i = 0; i < n; i += RT_VEC)
        sum += rt_vec_load(a + i) * rt_vec_load(b + i);
    return rt_vec_sum(sum);
}

static float resemblance(const float *a, const float *b, uint32_t n, float power_a)
{
    float both = power_a * product(b, b, n);
    return both > 0.0f ? product(a, b, n) / sqrtf(both) : 0.0f;
}

/* The lag of lo..hi, in steps of `step`, at which `from` resembles itself most; *best is how much. */
static uint32_t best_lag(const float *from, int direction, uint32_t lo, uint32_t hi, uint32_t n, float *best)
{
    float power = product(from, from, n);
    uint32_t lag = lo;
    *best = -2.0f;
    for (uint32_t i = lo; i <= hi; i++) {
        float match = resemblance(from, from + direction * (int)i, n, power);
        if (match > *best) {
            *best = match;
            lag = i;
        }
    }
    return lag;
}

/* First on sums of `coarse` samples, then around what that found. `from` is the middle of what is compared: 5 ms on either side. */
static uint32_t search(const rt_stretch *s, const float *from, int direction, uint32_t lo, uint32_t hi, float *match)
{
    const float *window = from - s->fade;
    uint32_t n = 2 * s->fade;
    if (product(window, window, n) < SILENT_POWER * (float)n) {
        *match = 1.0f; /* nothing to hear */
        return hi;
    }
    uint32_t c = s->coarse;
    if (c > 1) {
        float sums[(RT_STRETCH_PAST + RT_STRETCH_AHEAD) / 4];
        uint32_t reach = hi / c, all = reach + n / c;
        const float *first = direction < 0 ? window - reach * c : window;
        for (uint32_t i = 0; i < all; i++)
            sums[i] = first[4 * i] + first[4 * i + 1] + first[4 * i + 2] + first[4 * i + 3];
        uint32_t lag = c * best_lag(sums + (direction < 0 ? reach : 0), direction, (lo + c - 1) / c, reach, n / c, match);
        lo = most(lo, lag - (c - 1));
        hi = least(hi, lag + (c - 1));
    }
    return best_lag(window, direction, lo, hi, n, match);
}

/* ---- jumps ---- */

static int due(const rt_stretch *s, int64_t rate)
{
    int64_t threshold = (int64_t)(s->lag_most / 16) * ONE;
    return rate < ONE ? s->owed <= -threshold : rate > ONE && s->owed >= threshold;
}

/* Begins a jump where the line's sample `at` would come next; returns where it leads. The line ends at `end`. */
static uint32_t jump(rt_stretch *s, const float *line, uint32_t at, uint32_t end, int direction, rt_stretch_step *step)
{
    uint32_t first = s->past_most - s->known, hi, ahead = end - at;
    if (direction < 0)
        hi = at - first > s->fade && ahead >= s->fade ? at - first - s->fade : 0;
    else
        hi = at - first >= s->fade && ahead > s->fade ? ahead - s->fade : 0;
    hi = least(hi, s->lag_most);
    s->rest = s->fade;
    if (hi < s->lag_least)
        return at;
    float match;
    uint32_t lag = search(s, line + at, direction, s->lag_least, hi, &match);
    int64_t patience = (int64_t)s->hop * ONE, owed = s->owed < 0 ? -s->owed : s->owed;
    if (match < GOOD_MATCH && owed < patience)
        return at;
    s->jump = direction * (int)lag;
    s->owed -= (int64_t)s->jump * ONE;
    s->fade_left = s->fade;
    s->match = match;
    *(direction < 0 ? &step->inserted : &step->removed) = lag;
    return at + (uint32_t)s->jump;
}

/* ---- sound ---- */

static void cross_fade(rt_stretch *s, const float *line, uint32_t at, uint32_t end, float *out, uint32_t n)
{
    float match = s->match < 0.0f ? 0.0f : s->match;
    for (uint32_t i = 0; i < n; i++, s->fade_left--) {
        uint32_t old = (uint32_t)((int32_t)(at + i) - s->jump);
        if (old >= end)
            continue; /* taken away since it was shown: the new sound alone */
        float up = 0.5f + 0.5f * cosf(PI_F * ((float)s->fade_left - 0.5f) / (float)s->fade), down = 1.0f - up;
        float power = up * up + down * down + 2.0f * up * down * match;
        out[i] = (up * out[i] + down * line[old]) / sqrtf(power);
    }
}

/* How many samples may be written before the next jump could be due. */
static uint32_t run(const rt_stretch *s, int64_t rate, uint32_t want)
{
    if (rate == ONE)
        return want;
    int64_t threshold = (int64_t)(s->lag_most / 16) * ONE, left = rate < ONE ? s->owed + threshold : threshold - s->owed;
    int64_t each = rate < ONE ? ONE - rate : rate - ONE, n = left > 0 ? (left + each - 1) / each : 0;
    uint32_t until = most(most(s->fade_left, s->rest), rate < ONE ? s->behind : 0);
    n = n > until ? n : until;
    return n < want ? (uint32_t)n : want;
}

static void pass(rt_stretch *s, const float *in, uint32_t n)
{
    uint32_t keep = s->past_most - least(n, s->past_most);
    memmove(s->past, s->past + s->past_most - keep, keep * sizeof *s->past);
    memcpy(s->past + keep, in + n - (s->past_most - keep), (s->past_most - keep) * sizeof *s->past);
    s->known = least(s->past_most, s->known + n);
    s->consumed += n;
}

/* What cannot be made up for, since too little is at hand for any jump, is not owed for ever. */
static void owe(rt_stretch *s, int64_t more)
{
    int64_t bound = (int64_t)s->lag_most * ONE;
    s->owed += more;
    s->owed = s->owed > bound ? bound : s->owed < -bound ? -bound : s->owed;
}

static int64_t checked_rate(float rate)
{
    if (!(rate == rate))
        return ONE;
    return (int64_t)lrintf((rate < 0.5f ? 0.5f : rate > 2.0f ? 2.0f : rate) * (float)ONE);
}

static void process(rt_stretch *s, const float *in, uint32_t available, int64_t rate, float *out, uint32_t want, rt_stretch_step *step)
{
    float line[RT_STRETCH_PAST + RT_STRETCH_AHEAD];
    uint32_t end = s->past_most + least(available, RT_STRETCH_AHEAD), at = s->past_most - s->behind;
    memcpy(line, s->past, s->past_most * sizeof *line);
    memcpy(line + s->past_most, in, (end - s->past_most) * sizeof *line);
    if (due(s, rate) && s->fade_left == 0 && s->rest == 0 && (rate > ONE || s->behind == 0)) {
        at = jump(s, line, at, end, rate < ONE ? -1 : 1, step);
        s->behind = at < s->past_most ? s->past_most - at : 0;
    }
    uint32_t n = least(run(s, rate, want), end - at);
    memcpy(out, line + at, n * sizeof *out);
    cross_fade(s, line, at, end, out, least(n, s->fade_left));
    owe(s, (int64_t)n * (rate - ONE));
    s->rest -= least(s->rest, n);
    step->made = n;
    step->repeated = least(s->behind, n);
    step->consumed = at + n > s->past_most ? at + n - s->past_most : 0;
    pass(s, in, step->consumed);
    s->behind = at + n < s->past_most ? s->past_most - (at + n) : 0;
}

void rt_stretch_process(rt_stretch *s, const float *in, uint32_t available, float rate, float *out, uint32_t want,
                        rt_stretch_step *step) RT_NONBLOCKING
{
    int64_t asked = checked_rate(rate);
    memset(step, 0, sizeof *step);
    want = least(want, s->hop);
    if (want == 0)
        return;
    if (asked != ONE || s->behind > 0 || s->fade_left > 0) {
        process(s, in, available, asked, out, want, step);
        return;
    }
    step->made = step->consumed = least(available, want);
    memcpy(out, in, step->made * sizeof *out);
    s->rest -= least(s->rest, step->made);
    pass(s, in, step->made);
}

uint64_t rt_stretch_position(const rt_stretch *s) RT_NONBLOCKING { return s->consumed - s->behind; }

double rt_stretch_latency(const rt_stretch *s) RT_NONBLOCKING
{
    (void)s;
    return 0.0;
}
