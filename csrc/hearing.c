#include "hearing.h"

#include <string.h>

#include "agc.h"
#include "denoise.h"
#include "highpass.h"

enum { LOST_HOPS = 1000, SURE_HOPS = 100, LASTING_HOPS = 20, FORGETS = 2 };

/* Chosen in simulated rooms with bench/echo_events.py. */
#define NEAR 0.6f      /* probability of somebody near from which speech counts at once */
#define MAYBE 0.1f     /* from which it does when it lasts */
#define CLEAR 0.9f     /* probability of speech that lasts */
#define LOST 0.4f      /* fit of the filter below which it does not know the echo: right after the delay jumped, say */

static void *part(const rt_hearing *h, size_t offset) { return (unsigned char *)(uintptr_t)h + offset; }

static int valid(const rt_hearing_config *config)
{
    int echo = config->echo >= RT_ECHO_MODE_OFF && config->echo <= RT_ECHO_MODE_AUTO && config->unsure_threshold >= 0.0f &&
               config->unsure_threshold <= 1.0f && (config->comfort_noise == 0 || config->comfort_noise == 1);
    int highpass = config->highpass_hz == 0.0f || (config->highpass_hz >= 20.0f && config->highpass_hz <= 400.0f);
    int noise = config->noise_reduction >= RT_NOISE_REDUCTION_OFF && config->noise_reduction <= RT_NOISE_REDUCTION_FAR &&
                config->noise_strength >= 0.0f && config->noise_strength <= 2.0f;
    int level = config->agc_dbfs == 0.0f || (config->agc_dbfs >= -40.0f && config->agc_dbfs <= -6.0f);
    return echo && highpass && noise && level && config->agc_most_db >= 0.0f && config->agc_most_db <= 40.0f;
}

/* Lays the parts out behind the struct; `h` NULL only measures. */
static size_t lay_out(rt_hearing *h, const rt_hearing_config *config)
{
    rt_hearing scratch;
    rt_hearing *to = h ? h : &scratch;
    size_t end = RT_ALIGN64(sizeof(rt_hearing));
    to->highpass_offset = to->echo_offset = to->denoise_offset = to->agc_offset = 0;
#define PLACE(offset, bytes) ((offset) = end, end += RT_ALIGN64(bytes))
    if (config->highpass_hz > 0.0f)
        PLACE(to->highpass_offset, rt_highpass_size());
    if (config->echo != RT_ECHO_MODE_OFF)
        PLACE(to->echo_offset, rt_echo_size());
    if (config->noise_reduction != RT_NOISE_REDUCTION_OFF)
        PLACE(to->denoise_offset, rt_denoise_size());
    if (config->agc_dbfs < 0.0f)
        PLACE(to->agc_offset, rt_agc_size());
#undef PLACE
    return end;
}

size_t rt_hearing_size(const rt_hearing_config *config) { return valid(config) ? lay_out(NULL, config) : 0; }

static void tell(rt_hearing *h)
{
    h->stats.echo = h->half ? RT_ECHO_MODE_HALF_DUPLEX : RT_ECHO_MODE_AEC;
    h->stats.converged = h->echo.converged;
    h->stats.playing = h->echo.playing;
    h->stats.near = h->echo.near;
    h->stats.erle_db = h->echo.erle_db;
    h->stats.delay_ms = h->echo.delay_ms;
}

int rt_hearing_init(rt_hearing *h, const rt_hearing_config *config)
{
    if (!valid(config))
        return RT_BAD_ARGUMENT;
    memset(h, 0, sizeof *h);
    h->config = *config;
    h->stats.noise_db = -120.0f;
    h->stats.delay_ms = h->echo.delay_ms = -1.0f;
    h->half = config->echo == RT_ECHO_MODE_HALF_DUPLEX;
    h->way = RT_ECHO_CANCEL;
    lay_out(h, config);
    int status = RT_OK;
    if (h->highpass_offset != 0)
        status = rt_highpass_init(part(h, h->highpass_offset), config->highpass_hz);
    rt_echo_config echo = {.way = RT_ECHO_CANCEL, .comfort = (uint32_t)config->comfort_noise};
    if (status == RT_OK && h->echo_offset != 0)
        status = rt_echo_init(part(h, h->echo_offset), &echo);
    if (status == RT_OK && h->denoise_offset != 0)
        status = rt_denoise_init(part(h, h->denoise_offset),
                                 config->noise_reduction == RT_NOISE_REDUCTION_FAR ? RT_DENOISE_FAR : RT_DENOISE_NEAR,
                                 config->noise_strength);
    if (status == RT_OK && h->agc_offset != 0)
        status = rt_agc_init(part(h, h->agc_offset), config->agc_dbfs, config->agc_most_db);
    if (h->echo_offset != 0)
        tell(h);
    rt_board_publish(&h->board, &h->stats, sizeof h->stats);
    return status;
}

void rt_hearing_reset(rt_hearing *h)
{
    rt_hearing_config config = h->config;
    rt_hearing_init(h, &config);
}

/* AUTO: half duplex while the canceller cannot do it. */
static void choose(rt_hearing *h)
{
    int echo = h->echo.playing && h->echo.delay_ms >= 0.0f;
    if (h->echo.converged)
        h->lost_hops = 0;
    else if (echo)
        h->lost_hops++;
    h->sure_hops = h->echo.converged ? h->sure_hops + (uint32_t)(echo && h->sure_hops < SURE_HOPS) : 0;
    int half = h->half ? h->sure_hops < SURE_HOPS : h->lost_hops >= LOST_HOPS;
    h->stats.changes += half != h->half;
    h->half = half;
}

static void go(rt_hearing *h, int way)
{
    rt_echo_config config = {.way = way, .comfort = (uint32_t)(h->config.comfort_noise && way == RT_ECHO_CANCEL)};
    if (way != h->way)
        rt_echo_set(part(h, h->echo_offset), &config);
    h->way = way;
}

void rt_hearing_hear(rt_hearing *h, float *hop, const float *reference, int playing, int talk) RT_NONBLOCKING
{
    if (h->highpass_offset != 0)
        rt_highpass_process(part(h, h->highpass_offset), hop, RT_HOP);
    if (h->echo_offset == 0)
        return;
    int closes = h->half && !talk;
    go(h, closes ? RT_ECHO_HALF_DUPLEX : RT_ECHO_CANCEL);
    rt_echo_process(part(h, h->echo_offset), reference, hop, hop, &h->echo);
    h->echo.playing |= (uint32_t)playing;
    if (closes && h->echo.playing) {
        h->stats.closed_hops++;
        memset(hop, 0, RT_HOP * sizeof *hop); /* in the pauses of a reply, too */
    }
    if (h->config.echo == RT_ECHO_MODE_AUTO)
        choose(h);
    tell(h);
}

/* Whether clear speech has lasted that the canceller does not take for nothing but echo. */
static int lasts(rt_hearing *h, float probability)
{
    if (probability >= CLEAR && h->echo.near >= MAYBE && h->echo.fit >= LOST)
        h->clear_hops += h->clear_hops < LASTING_HOPS;
    else
        h->clear_hops -= h->clear_hops < FORGETS ? h->clear_hops : FORGETS;
    return h->clear_hops == LASTING_HOPS;
}

float rt_hearing_near(rt_hearing *h, float probability) RT_NONBLOCKING
{
    if (h->echo_offset == 0 || !h->echo.playing || (h->way == RT_ECHO_CANCEL && h->echo.converged && h->echo.delay_ms < 0.0f)) {
        h->clear_hops = 0;
        return probability; /* there is no echo to be taken for somebody */
    }
    int near = lasts(h, probability) || (h->echo.near >= NEAR && h->echo.fit >= LOST);
    if (h->way == RT_ECHO_HALF_DUPLEX || !near || (!h->echo.converged && probability < h->config.unsure_threshold))
        return 0.0f;
    return probability;
}

void rt_hearing_shape(rt_hearing *h, float *hop, float probability) RT_NONBLOCKING
{
    if (h->denoise_offset != 0) {
        rt_denoise_process(part(h, h->denoise_offset), hop);
        h->stats.noise_db = rt_denoise_noise_db(part(h, h->denoise_offset));
    }
    if (h->agc_offset != 0) {
        rt_agc_process(part(h, h->agc_offset), hop, probability);
        h->stats.agc_db = rt_agc_gain_db(part(h, h->agc_offset));
    }
    rt_board_publish(&h->board, &h->stats, sizeof h->stats);
}

uint32_t rt_hearing_late(const rt_hearing *h) { return h->echo_offset != 0 ? rt_echo_latency(part(h, h->echo_offset)) : 0; }

uint32_t rt_hearing_shaped(const rt_hearing *h) { return h->denoise_offset != 0 ? RT_DENOISE_DELAY / RT_HOP : 0; }

uint32_t rt_hearing_latency(const rt_hearing *h) { return rt_hearing_late(h) + RT_HOP * rt_hearing_shaped(h); }

RT_BOARD_FITS(rt_hearing_stats);

int rt_hearing_read_stats(const rt_hearing *h, rt_hearing_stats *stats) { return rt_board_read(&h->board, stats, sizeof *stats); }
