#include "hearing.h"

#include <string.h>

#include "agc.h"
#include "denoise.h"
#include "highpass.h"

static void *part(const rt_hearing *h, size_t offset) { return (unsigned char *)(uintptr_t)h + offset; }

static int valid(const rt_hearing_config *config)
{
    int highpass = config->highpass_hz == 0.0f || (config->highpass_hz >= 20.0f && config->highpass_hz <= 400.0f);
    int noise = config->noise_reduction >= RT_NOISE_REDUCTION_OFF && config->noise_reduction <= RT_NOISE_REDUCTION_FAR &&
                config->noise_strength >= 0.0f && config->noise_strength <= 2.0f;
    int level = config->agc_dbfs == 0.0f || (config->agc_dbfs >= -40.0f && config->agc_dbfs <= -6.0f);
    return highpass && noise && level && config->agc_most_db >= 0.0f && config->agc_most_db <= 40.0f;
}

/* Lays the parts out behind the struct; `h` NULL only measures. */
static size_t lay_out(rt_hearing *h, const rt_hearing_config *config)
{
    rt_hearing scratch;
    rt_hearing *to = h ? h : &scratch;
    size_t end = RT_ALIGN64(sizeof(rt_hearing));
    to->highpass_offset = to->denoise_offset = to->agc_offset = 0;
#define PLACE(offset, bytes) ((offset) = end, end += RT_ALIGN64(bytes))
    if (config->highpass_hz > 0.0f)
        PLACE(to->highpass_offset, rt_highpass_size());
    if (config->noise_reduction != RT_NOISE_REDUCTION_OFF)
        PLACE(to->denoise_offset, rt_denoise_size());
    if (config->agc_dbfs < 0.0f)
        PLACE(to->agc_offset, rt_agc_size());
#undef PLACE
    return end;
}

size_t rt_hearing_size(const rt_hearing_config *config) { return valid(config) ? lay_out(NULL, config) : 0; }

int rt_hearing_init(rt_hearing *h, const rt_hearing_config *config)
{
    if (!valid(config))
        return RT_BAD_ARGUMENT;
    memset(h, 0, sizeof *h);
    h->config = *config;
    h->stats.noise_db = -120.0f;
    lay_out(h, config);
    int status = RT_OK;
    if (h->highpass_offset != 0)
        status = rt_highpass_init(part(h, h->highpass_offset), config->highpass_hz);
    if (status == RT_OK && h->denoise_offset != 0)
        status = rt_denoise_init(part(h, h->denoise_offset),
                                 config->noise_reduction == RT_NOISE_REDUCTION_FAR ? RT_DENOISE_FAR : RT_DENOISE_NEAR,
                                 config->noise_strength);
    if (status == RT_OK && h->agc_offset != 0)
        status = rt_agc_init(part(h, h->agc_offset), config->agc_dbfs, config->agc_most_db);
    rt_board_publish(&h->board, &h->stats, sizeof h->stats);
    return status;
}

void rt_hearing_reset(rt_hearing *h)
{
    rt_hearing_config config = h->config;
    rt_hearing_init(h, &config);
}

void rt_hearing_hear(rt_hearing *h, float *hop) RT_NONBLOCKING
{
    if (h->highpass_offset != 0)
        rt_highpass_process(part(h, h->highpass_offset), hop, RT_HOP);
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

uint32_t rt_hearing_heard(const rt_hearing *h)
{
    (void)h;
    return 0;
}

uint32_t rt_hearing_shaped(const rt_hearing *h) { return h->denoise_offset != 0 ? RT_DENOISE_DELAY / RT_HOP : 0; }

uint32_t rt_hearing_latency(const rt_hearing *h) { return RT_HOP * (rt_hearing_heard(h) + rt_hearing_shaped(h)); }

RT_BOARD_FITS(rt_hearing_stats);

int rt_hearing_read_stats(const rt_hearing *h, rt_hearing_stats *stats) { return rt_board_read(&h->board, stats, sizeof *stats); }
