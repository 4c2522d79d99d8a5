#include "echo.h"
#include "ftz.h"

#include <math.h>
#include <string.h>

#define SOUNDS 1e-7f     /* mean square of a reference that sounds, -70 dBFS */
#define KEEPS 0.99f      /* of the powers, per hop with an echo: a second */
#define LEAST 1e-9f      /* power of an echo worth measuring */
#define CONVERGED_DB 6.0f

enum {
    UNKNOWN_HOPS = 50, /* that an echo may be late while its delay is not known */
    UNANSWERED = 300,
    CONVERGED_HOPS = 50
};

/* By whom is judged and for whom: people hear a room that comes and goes, a recogniser hears speech against silence. */
static const rt_echo_suppress_config gates[2][2] = {
    [RT_ECHO_BY_NET] = {
        {.open_at = 0.15f, .close_at = 0.1f, .open_hops = 1, .hold_hops = 25},
        {.open_at = 0.3f, .close_at = 0.1f, .open_hops = 1, .hold_hops = 30, .soft = 1, .comfort = 1},
    },
    [RT_ECHO_BY_RULE] = {
        {.open_at = 0.5f, .close_at = 0.5f, .open_hops = 3, .hold_hops = 15},
        {.open_at = 0.5f, .close_at = 0.5f, .open_hops = 3, .hold_hops = 15, .comfort = 1},
    },
};

/* Below which nobody is near, and what is heard is echo. */
static const float nobody[] = {[RT_ECHO_BY_NET] = 0.08f, [RT_ECHO_BY_RULE] = 0.5f};

size_t rt_echo_size(void) { return RT_ALIGN64(sizeof(rt_echo)); }

int rt_echo_set(rt_echo *e, const rt_echo_config *config) RT_NONBLOCKING
{
    if (config->way < RT_ECHO_CANCEL || config->way > RT_ECHO_HALF_DUPLEX || config->judge < RT_ECHO_BY_NET || config->judge > RT_ECHO_BY_RULE)
        return RT_BAD_ARGUMENT;
    if (config->comfort > 1 || rt_echo_suppress_set(&e->suppress, &gates[config->judge][config->comfort]) != RT_OK)
        return RT_BAD_ARGUMENT;
    e->config = *config;
    return RT_OK;
}

int rt_echo_init(rt_echo *e, const rt_echo_config *config)
{
    memset(e, 0, sizeof *e);
    rt_echo_suppress_init(&e->suppress, &gates[RT_ECHO_BY_NET][0]);
    if (rt_echo_set(e, config) != RT_OK)
        return RT_BAD_ARGUMENT;
    rt_echo_linear_init(&e->linear);
    rt_echo_features_init(&e->features);
    rt_echo_near_init(&e->near);
    rt_echo_net_init(&e->net);
    rt_echo_reset(e);
    return RT_OK;
}

void rt_echo_reset(rt_echo *e)
{
    rt_echo_linear_reset(&e->linear);
    rt_echo_features_reset(&e->features);
    rt_echo_near_reset(&e->near);
    rt_echo_net_reset(&e->net);
    rt_echo_suppress_reset(&e->suppress);
    e->before = e->after = 0.0f;
    e->silent = RT_ECHO_CLEAR_HOPS + UNKNOWN_HOPS;
    e->unanswered = e->right = 0;
    e->result = (rt_echo_result){.fit = 1.0f, .delay_ms = -1.0f, .noise_db = -120.0f};
}

static float mean_square(const float *x)
{
    float sum = 0.0f;
    for (uint32_t i = 0; i < RT_HOP; i++)
        sum += x[i] * x[i];
    return sum / RT_HOP;
}

static float total(const rt_echo_features *f, int sound)
{
    float sum = 0.0f;
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        sum += f->power[sound][b];
    return sum / RT_ECHO_BANDS;
}

/* Hops since the reference sounded; an echo whose delay is not known may still be on its way. */
static uint32_t silence(rt_echo *e, int known, const float *reference, const float *aligned)
{
    int sounds = mean_square(known ? aligned : reference) > SOUNDS;
    e->silent = sounds ? 0 : e->silent + (e->silent < UINT32_MAX);
    return known || e->silent == 0 ? e->silent : e->silent > UNKNOWN_HOPS ? e->silent - UNKNOWN_HOPS : 0;
}

/* How good the filter is, where there is an echo and nobody is near. */
static void judge(rt_echo *e, int known, int playing, int open)
{
    float mic = total(&e->features, RT_ECHO_MICROPHONE), left = total(&e->features, RT_ECHO_LEFT), echo = total(&e->features, RT_ECHO_ESTIMATE);
    if (e->linear.moved) {
        e->before = e->after = 0.0f;
        e->right = 0;
    }
    if (known && playing && !open && echo > LEAST && mic > LEAST) {
        e->before = KEEPS * e->before + mic;
        e->after = KEEPS * e->after + left;
    }
    float erle = e->before > LEAST ? 10.0f * log10f(e->before / (e->after > 1e-6f * e->before ? e->after : 1e-6f * e->before)) : 0.0f;
    e->result.erle_db = erle > 0.0f ? erle : 0.0f;
    e->right = erle < 0.5f * CONVERGED_DB ? 0 : e->right + (erle > CONVERGED_DB && playing && e->right < CONVERGED_HOPS);
    e->unanswered = known ? 0 : e->unanswered + (e->silent == 0 && e->unanswered < UNANSWERED);
    e->result.converged = e->right >= CONVERGED_HOPS || e->unanswered >= UNANSWERED;
}

void rt_echo_process(rt_echo *e, const float *reference, const float *microphone, float *out, rt_echo_result *result) RT_NONBLOCKING
{
    float left[RT_HOP], echo[RT_HOP], aligned[RT_HOP], features[RT_ECHO_FEATURES], gains[RT_ECHO_BANDS];
    uint64_t mode = rt_ftz_begin();
    rt_echo_linear_process(&e->linear, reference, microphone, left, echo, aligned);
    rt_echo_features_process(&e->features, left, echo, aligned, features);
    rt_echo_features_return(&e->features, 1.0f - rt_echo_linear_fit(&e->linear));
    int lag = rt_echo_linear_lag(&e->linear);
    uint32_t silent = silence(e, lag >= 0, reference, aligned);
    int playing = silent < RT_ECHO_TAIL_HOPS;
    float near = e->config.judge == RT_ECHO_BY_NET ? rt_echo_net_process(&e->net, features, gains) : rt_echo_near_process(&e->near, features, gains);
    if (e->config.way == RT_ECHO_CANCEL)
        rt_echo_suppress_process(&e->suppress, &e->features, gains, near, silent, out);
    else
        rt_echo_suppress_pass(&e->suppress, &e->features, e->config.way == RT_ECHO_HALF_DUPLEX && playing ? -1.0f : 1.0f, silent, out);
    e->result.near = near;
    e->result.fit = rt_echo_linear_fit(&e->linear);
    e->result.delay_ms = lag < 0 ? -1.0f : (float)(lag * 1000 * RT_HOP) / RT_RATE;
    e->result.open = (uint32_t)rt_echo_suppress_open(&e->suppress);
    e->result.playing = (uint32_t)playing;
    judge(e, lag >= 0, playing, near >= nobody[e->config.judge]);
    e->result.noise_db = rt_echo_suppress_noise_db(&e->suppress);
    if (result != NULL)
        *result = e->result;
    rt_ftz_end(mode);
}

void rt_echo_many(rt_echo *e, const float *reference, const float *microphone, uint32_t hops, float *out, rt_echo_result *results)
{
    for (size_t i = 0; i < hops; i++)
        rt_echo_process(e, reference + i * RT_HOP, microphone + i * RT_HOP, out + i * RT_HOP, results == NULL ? NULL : results + i);
}

uint32_t rt_echo_latency(const rt_echo *e)
{
    (void)e;
    return RT_ECHO_DELAY;
}
