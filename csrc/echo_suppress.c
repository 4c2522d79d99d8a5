#include "echo_suppress.h"
#include "ftz.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define OPEN_POWER 0.5f      /* of the detector's gains while the gate is open */
#define SHUT_POWER 2.0f      /* while it is closed and nobody is near */
#define NOBODY 0.05f         /* probability below which nobody is near, */
#define OF_ROOM 0.3f         /* and a soft gate lets through no more than this share of the room's noise */
#define OPEN_FLOOR 0.05f     /* -26 dB */
#define SHUT 0.003f          /* -50 dB */
#define AFTER_FLOOR 0.3f     /* -10 dB */
#define LEAST 1e-12f         /* of a band's power */
#define EXPECTED 31.6228f    /* 15 dB: SNR of speech where it is present */
#define FOLLOWS 0.1f         /* share of the newest in the noise, per hop: 100 ms */
#define SMOOTH 0.9f          /* of the power that lowers it */
#define LEAST_SHARE 0.05f   /* of what is left */
#define BELOW 0.7f           /* of the noise, from which on less is believed */

enum {
    LEARNING = 8, /* hops of a quiet room until its noise is known; or */
    WAITING = 100, /* hops of one that is not, of which the least counts */
    WARMING = 20,
    LAST_LINE = 160
};

size_t rt_echo_suppress_size(void) { return RT_ALIGN64(sizeof(rt_echo_suppress)); }

int rt_echo_suppress_set(rt_echo_suppress *s, const rt_echo_suppress_config *config) RT_NONBLOCKING
{
    const rt_echo_suppress_config *c = config;
    if (!(c->open_at >= 0.0f && c->open_at <= 1.0f && c->close_at >= 0.0f && c->close_at <= c->open_at) || c->open_hops < 1 || c->open_hops > 100 ||
        c->hold_hops > 100 || c->soft > 1 || c->comfort > 1)
        return RT_BAD_ARGUMENT;
    s->config = *c;
    return RT_OK;
}

/* Both windows together are a Hann window's halves, 5 ms each, and 1 between them. */
static void lay_window(rt_echo_suppress *s)
{
    double sum = 0.0;
    uint32_t rise = RT_ECHO_FRAME - RT_ECHO_FALL, begin = RT_ECHO_FRAME - RT_HOP - RT_ECHO_FALL;
    for (uint32_t i = begin; i < RT_ECHO_FRAME; i++) {
        double in = i < rise ? sin(0.5 * PI * (i + 0.5) / rise) : cos(0.5 * PI * (i - rise + 0.5) / RT_ECHO_FALL);
        double up = i < RT_HOP ? sin(0.5 * PI * (i - begin + 0.5) / RT_ECHO_FALL) : i < rise ? 1.0 : in;
        s->window[i] = (float)(up * up / in);
        sum += up * up / in * up * up / in / RT_HOP;
    }
    s->noise_scale = (float)(RT_HOP * 2.0 / sum * 1.5); /* uniform parts have a third each */
}

int rt_echo_suppress_init(rt_echo_suppress *s, const rt_echo_suppress_config *config)
{
    memset(s, 0, sizeof *s);
    if (rt_echo_suppress_set(s, config) != RT_OK)
        return RT_BAD_ARGUMENT;
    lay_window(s);
    rt_echo_suppress_reset(s);
    return RT_OK;
}

void rt_echo_suppress_reset(rt_echo_suppress *s)
{
    memset(s->tail, 0, sizeof s->tail);
    memset(s->present, 0, sizeof s->present);
    for (uint32_t b = 0; b < RT_ECHO_NOISES; b++)
        s->noise[b] = s->smooth[b] = s->least[b] = LEAST;
    s->learnt = s->waited = s->quiet = s->heard = s->unheard = s->open = 0;
    s->random = 1;
    s->room = 0.0f;
}

/* What a room's power is after a hop of this power in which the loudspeaker and all others were silent, as far as one knows. */
static float follow(float noise, float power, float *present)
{
    float exponent = power / noise * (EXPECTED / (1.0f + EXPECTED));
    float odds = expf(exponent < 50.0f ? exponent : 50.0f) / (1.0f + EXPECTED), now = odds / (1.0f + odds);
    *present = 0.9f * *present + 0.1f * now;
    if (*present > 0.99f && now > 0.99f)
        now = 0.99f; /* speech for ever is noise that began */
    return noise + FOLLOWS * (1.0f - now) * (power - noise);
}

/* Share of what the filter left that is no echo, as the detector has it: of the room, while nobody is near. */
static float not_echo(float gain)
{
    float share = gain * gain;
    return share > LEAST_SHARE ? share : LEAST_SHARE;
}

/* Of a line above 8 kHz, where there is no filter. */
static float top_power(const rt_echo_features *seen)
{
    float top = 0.0f;
    for (uint32_t k = LAST_LINE + 1; k < RT_ECHO_LINES; k++)
        top += seen->re[k] * seen->re[k] + seen->im[k] * seen->im[k];
    return top / (float)((RT_ECHO_LINES - LAST_LINE - 1) * RT_HOP);
}

static void learn_room(rt_echo_suppress *s, const rt_echo_features *seen, const float *gains, int quiet)
{
    float power[RT_ECHO_NOISES], all = 0.0f;
    rt_echo_features_power(seen, RT_ECHO_LEFT, power);
    power[RT_ECHO_BANDS] = top_power(seen);
    for (uint32_t b = 0; b < RT_ECHO_NOISES; b++)
        all += power[b];
    if (!(all > LEAST * RT_ECHO_NOISES))
        return; /* digital silence teaches nothing */
    int as_heard = quiet || s->quiet == LEARNING; /* a room that was heard alone is not guessed at */
    for (uint32_t b = 0; b < RT_ECHO_NOISES; b++) {
        float p = (as_heard || b == RT_ECHO_BANDS ? power[b] : power[b] * not_echo(gains[b])) + LEAST, noise = s->noise[b];
        s->smooth[b] = s->learnt + s->waited == 0 ? p : SMOOTH * s->smooth[b] + (1.0f - SMOOTH) * p;
        s->least[b] = s->waited < WARMING || s->smooth[b] < s->least[b] ? s->smooth[b] : s->least[b];
        if (s->learnt < LEARNING)
            noise = quiet ? s->smooth[b] : s->waited == WAITING ? s->least[b] / BELOW : noise;
        else if (quiet)
            noise = follow(noise, p, &s->present[b]);
        else if (s->smooth[b] < BELOW * noise)
            noise = s->smooth[b] / BELOW;
        s->noise[b] = noise > LEAST ? noise : LEAST;
    }
    if (s->learnt < LEARNING && !quiet)
        s->learnt = s->waited++ == WAITING ? LEARNING : s->learnt;
    else
        s->learnt += s->learnt < LEARNING;
    s->quiet += quiet && s->quiet < LEARNING;
    s->room = s->noise[RT_ECHO_BANDS] * (RT_ECHO_LINES - LAST_LINE - 1);
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        s->room += s->noise[b] / seen->weight[b];
    s->room *= 1.0f / RT_HOP;
}

static float uniform(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return (float)(int32_t)x * (1.0f / 2147483648.0f);
}

/* What the gains took of the room's noise. */
static void comfort(rt_echo_suppress *s, const rt_echo_features *seen, const float *gain, float *re, float *im)
{
    float root[RT_ECHO_BANDS], level[RT_ECHO_LINES], top = sqrtf(s->noise[RT_ECHO_BANDS]);
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        root[b] = sqrtf(s->noise[b]);
    rt_echo_features_gain(seen, root, level);
    for (uint32_t k = 1; k < RT_ECHO_LINES; k++) {
        float a = (k > LAST_LINE ? top : level[k]) * sqrtf(s->noise_scale * (1.0f - gain[k] * gain[k]));
        re[k] += a * uniform(&s->random);
        im[k] += a * uniform(&s->random);
    }
}

static void to_sound(rt_echo_suppress *s, const rt_echo_features *seen, const float *gain, float *out)
{
    float re[RT_FFT_BINS], im[RT_FFT_BINS], frame[RT_ECHO_FRAME];
    const uint32_t begin = RT_ECHO_FRAME - RT_HOP - RT_ECHO_FALL;
    for (uint32_t k = 0; k < RT_ECHO_LINES; k++) {
        re[k] = seen->re[k] * gain[k];
        im[k] = seen->im[k] * gain[k];
    }
    if (s->config.comfort)
        comfort(s, seen, gain, re, im);
    rt_fft_backward(&seen->fft, re, im, frame);
    for (uint32_t i = 0; i < RT_HOP; i++)
        out[i] = frame[begin + i] * s->window[begin + i] + (i < RT_ECHO_FALL ? s->tail[i] : 0.0f);
    for (uint32_t i = 0; i < RT_ECHO_FALL; i++)
        s->tail[i] = frame[begin + RT_HOP + i] * s->window[begin + RT_HOP + i];
}

static void decide(rt_echo_suppress *s, float near)
{
    s->heard = near >= s->config.open_at ? s->heard + (s->heard < s->config.open_hops) : 0;
    s->unheard = near >= s->config.close_at ? 0 : s->unheard + (s->unheard <= s->config.hold_hops);
    if (s->heard >= s->config.open_hops)
        s->open = 1;
    else if (s->unheard > s->config.hold_hops)
        s->open = 0;
}

/* To which power the detector's gains are taken; 0: they are not asked. */
static float power_of(const rt_echo_suppress *s, float near, uint32_t silent)
{
    float clear = near < s->config.open_at ? near / s->config.open_at : 1.0f;
    if (s->open || silent >= RT_ECHO_TAIL_HOPS)
        return OPEN_POWER;
    return s->config.soft ? SHUT_POWER - (SHUT_POWER - OPEN_POWER) * clear : 0.0f;
}

static float limited(const rt_echo_suppress *s, float gain, float power, uint32_t silent)
{
    float playing = s->open ? OPEN_FLOOR : SHUT;
    float least = silent >= RT_ECHO_CLEAR_HOPS ? 1.0f : silent >= RT_ECHO_TAIL_HOPS ? AFTER_FLOOR : playing;
    gain = gain > 0.0f && power > 0.0f ? powf(gain, power) : 0.0f;
    return gain > 1.0f ? 1.0f : gain > least ? gain : least;
}

static float under(float gain, float noise, float heard)
{
    float most = sqrtf(OF_ROOM * noise / (heard + LEAST));
    return gain < most ? gain : most > SHUT ? most : SHUT;
}

/* What is left of an echo is not to be heard above the room. */
static void under_the_room(const rt_echo_suppress *s, const rt_echo_features *seen, float *limits, float *gain)
{
    float heard[RT_ECHO_BANDS];
    rt_echo_features_power(seen, RT_ECHO_LEFT, heard);
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        limits[b] = under(limits[b], s->noise[b], heard[b]);
    rt_echo_features_gain(seen, limits, gain);
    float top = under(gain[LAST_LINE], s->noise[RT_ECHO_BANDS], top_power(seen));
    for (uint32_t k = LAST_LINE + 1; k < RT_ECHO_LINES; k++)
        gain[k] = top;
}

void rt_echo_suppress_process(rt_echo_suppress *s, const rt_echo_features *seen, const float *gains, float near, uint32_t silent, float *out) RT_NONBLOCKING
{
    float limits[RT_ECHO_BANDS], gain[RT_ECHO_LINES];
    uint64_t mode = rt_ftz_begin();
    decide(s, near);
    learn_room(s, seen, gains, silent >= RT_ECHO_TAIL_HOPS && !s->open);
    float power = power_of(s, near, silent);
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        limits[b] = limited(s, gains[b], power, silent);
    if (!s->open && s->config.soft && near < NOBODY && silent < RT_ECHO_TAIL_HOPS && s->learnt == LEARNING)
        under_the_room(s, seen, limits, gain);
    else
        rt_echo_features_gain(seen, limits, gain);
    to_sound(s, seen, gain, out);
    rt_ftz_end(mode);
}

void rt_echo_suppress_pass(rt_echo_suppress *s, const rt_echo_features *seen, float gain, uint32_t silent, float *out) RT_NONBLOCKING
{
    float all[RT_ECHO_LINES], one = gain < 0.0f ? SHUT : gain > 1.0f ? 1.0f : gain;
    uint64_t mode = rt_ftz_begin();
    s->open = gain >= 0.0f;
    float all_of_it[RT_ECHO_BANDS];
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        all_of_it[b] = 1.0f;
    learn_room(s, seen, all_of_it, silent >= RT_ECHO_TAIL_HOPS);
    for (uint32_t k = 0; k < RT_ECHO_LINES; k++)
        all[k] = one;
    to_sound(s, seen, all, out);
    rt_ftz_end(mode);
}

int rt_echo_suppress_open(const rt_echo_suppress *s) RT_NONBLOCKING { return (int)s->open; }

float rt_echo_suppress_noise_db(const rt_echo_suppress *s) RT_NONBLOCKING
{
    return s->room > 1e-12f ? 10.0f * log10f(s->room) : -120.0f;
}

uint32_t rt_echo_suppress_latency(const rt_echo_suppress *s)
{
    (void)s;
    return RT_ECHO_SUPPRESS_DELAY;
}
