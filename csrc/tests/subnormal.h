/* subnormal.h - looks for subnormal numbers in the state of every block.
 *
 * State is one flat struct, in which an integer can look like a subnormal float (any small count does). So the scan is
 * not over words but over a list of each struct's float and double fields; FLOATS refuses to compile for a field of
 * another type, and tests/test_csrc.py finds every float in the headers that is not in a list here. What follows a
 * struct at an offset (taps, past) has a function of its own.
 */
#ifndef SUBNORMAL_H
#define SUBNORMAL_H

#include "check.h"
#include "agc.h"
#include "conceal.h"
#include "denoise.h"
#include "duplex.h"
#include "echo.h"
#include "echo_delay.h"
#include "echo_features.h"
#include "echo_filter.h"
#include "echo_linear.h"
#include "echo_near.h"
#include "echo_net.h"
#include "echo_suppress.h"
#include "highpass.h"
#include "jitter.h"
#include "volume.h"

#include <stddef.h>

typedef struct floats {
    const char *name;
    size_t offset, bytes, each;
} floats;

#define FLOAT_BYTES(value)                                                                                             \
    _Generic((value), float: 4, float *: 4, float(*)[RT_HOP]: 4, float(*)[RT_ECHO_PHASES]: 4,                          \
             float(*)[RT_ECHO_ROW]: 4, float(*)[RT_ECHO_BANDS]: 4, float(*)[RT_VAD_LAGS]: 4, double: 8)
#define FLOATS(type, field)                                                                                            \
    {                                                                                                                  \
        #type "." #field, offsetof(type, field), sizeof(((type *)0)->field), FLOAT_BYTES(((type *)0)->field)           \
    }
#define SCAN(list, state) scan_all(list, sizeof(list) / sizeof *(list), state)

static const floats biquad_floats[] = {
    FLOATS(rt_biquad, b0), FLOATS(rt_biquad, b1), FLOATS(rt_biquad, b2), FLOATS(rt_biquad, a1), FLOATS(rt_biquad, a2),
    FLOATS(rt_biquad, z1), FLOATS(rt_biquad, z2),
};
static const floats vad_floats[] = {
    FLOATS(rt_vad, energy), FLOATS(rt_vad, least), FLOATS(rt_vad, least_now), FLOATS(rt_vad, floor_db),
    FLOATS(rt_vad, level_db), FLOATS(rt_vad, bridged),
};
static const floats vad_net_floats[] = {FLOATS(rt_vad_net, first), FLOATS(rt_vad_net, second)};
static const floats vad_features_floats[] = {
    FLOATS(rt_vad_features, window), FLOATS(rt_vad_features, band_share), FLOATS(rt_vad_features, band_scale),
    FLOATS(rt_vad_features, taps), FLOATS(rt_vad_features, sound), FLOATS(rt_vad_features, past),
    FLOATS(rt_vad_features, products),
};
static const floats fft_floats[] = {
    FLOATS(rt_fft, turn), FLOATS(rt_fft, slip), FLOATS(rt_fft, half_turn), FLOATS(rt_fft, half_slip),
};
static const floats volume_floats[] = {
    FLOATS(rt_volume, gain), FLOATS(rt_volume, target), FLOATS(rt_volume, loudest),
};
static const floats gate_floats[] = {
    FLOATS(rt_gate, config.open_threshold), FLOATS(rt_gate, config.close_threshold), FLOATS(rt_gate, history),
};
static const floats interrupt_floats[] = {
    FLOATS(rt_interrupt, config.threshold),
};
static const floats edge_floats[] = {FLOATS(rt_edge, recent)};
static const floats stretch_floats[] = {FLOATS(rt_stretch, match), FLOATS(rt_stretch, past)};
static const floats arrival_floats[] = {FLOATS(rt_arrival, rates), FLOATS(rt_arrival, waits)};
static const floats conceal_floats[] = {
    FLOATS(rt_conceal, kept), FLOATS(rt_conceal, source), FLOATS(rt_conceal, ending), FLOATS(rt_conceal, joint),
};
static const floats agc_floats[] = {
    FLOATS(rt_agc, target_db), FLOATS(rt_agc, most_db), FLOATS(rt_agc, level),
    FLOATS(rt_agc, voice_db),  FLOATS(rt_agc, gain_db), FLOATS(rt_agc, gain),
};
static const floats denoise_floats[] = {
    FLOATS(rt_denoise, window), FLOATS(rt_denoise, share),   FLOATS(rt_denoise, weight),  FLOATS(rt_denoise, power),
    FLOATS(rt_denoise, floor),  FLOATS(rt_denoise, past),    FLOATS(rt_denoise, tail),    FLOATS(rt_denoise, noise),
    FLOATS(rt_denoise, present), FLOATS(rt_denoise, clean),
};
static const floats echo_delay_floats[] = {
    FLOATS(rt_echo_delay, window),   FLOATS(rt_echo_delay, microphone), FLOATS(rt_echo_delay, reference),
    FLOATS(rt_echo_delay, phase_re), FLOATS(rt_echo_delay, phase_im),   FLOATS(rt_echo_delay, agree_re),
    FLOATS(rt_echo_delay, agree_im), FLOATS(rt_echo_delay, coherence),
};
static const floats echo_filter_floats[] = {
    FLOATS(rt_echo_filter, met_mic), FLOATS(rt_echo_filter, met_ref), FLOATS(rt_echo_filter, near),
    FLOATS(rt_echo_filter, past),    FLOATS(rt_echo_filter, unsure),
};
static const floats echo_spectrum_floats[] = {FLOATS(rt_echo_spectrum, re), FLOATS(rt_echo_spectrum, im)};
static const floats echo_features_floats[] = {
    FLOATS(rt_echo_features, window), FLOATS(rt_echo_features, share), FLOATS(rt_echo_features, weight),
    FLOATS(rt_echo_features, past),   FLOATS(rt_echo_features, re),    FLOATS(rt_echo_features, im),
    FLOATS(rt_echo_features, echo_re), FLOATS(rt_echo_features, echo_im),
    FLOATS(rt_echo_features, power),  FLOATS(rt_echo_features, references), FLOATS(rt_echo_features, both),
    FLOATS(rt_echo_features, left),   FLOATS(rt_echo_features, echo),
};
static const floats echo_net_floats[] = {FLOATS(rt_echo_net, first), FLOATS(rt_echo_net, second)};
static const floats echo_floats[] = {
    FLOATS(rt_echo, before), FLOATS(rt_echo, after), FLOATS(rt_echo, result.near), FLOATS(rt_echo, result.erle_db),
    FLOATS(rt_echo, result.delay_ms), FLOATS(rt_echo, result.noise_db),
};
static const floats echo_linear_floats[] = {FLOATS(rt_echo_linear, both), FLOATS(rt_echo_linear, echo)};
static const floats echo_near_floats[] = {FLOATS(rt_echo_near, level), FLOATS(rt_echo_near, floor), FLOATS(rt_echo_near, least)};
static const floats echo_usual_floats[] = {FLOATS(rt_echo_usual, mean), FLOATS(rt_echo_usual, away)};
static const floats echo_suppress_floats[] = {
    FLOATS(rt_echo_suppress, config.open_at), FLOATS(rt_echo_suppress, config.close_at), FLOATS(rt_echo_suppress, window),
    FLOATS(rt_echo_suppress, noise_scale),    FLOATS(rt_echo_suppress, noise),           FLOATS(rt_echo_suppress, smooth),
    FLOATS(rt_echo_suppress, present), FLOATS(rt_echo_suppress, least),       FLOATS(rt_echo_suppress, room),            FLOATS(rt_echo_suppress, tail),
};
static const floats delays_floats[] = {
    FLOATS(rt_delays, patience), FLOATS(rt_delays, most_us), FLOATS(rt_delays, slow), FLOATS(rt_delays, fast),
    FLOATS(rt_delays, target_us), FLOATS(rt_delays, drift), FLOATS(rt_delays, jitter_ms),
};
static const floats jitter_floats[] = {
    FLOATS(rt_jitter, config.patience), FLOATS(rt_jitter, slowed), FLOATS(rt_jitter, concealed),
    FLOATS(rt_jitter, stats.jitter_ms), FLOATS(rt_jitter, stats.drift_ppm),
};
static const floats paced_floats[] = {
    FLOATS(rt_paced, noise_asked), FLOATS(rt_paced, noise.gain), FLOATS(rt_paced, noise.last), FLOATS(rt_paced, ppm),
    FLOATS(rt_paced, surplus), FLOATS(rt_paced, loudest),
};
static const floats stages_floats[] = {FLOATS(rt_stages, fade), FLOATS(rt_stages, was), FLOATS(rt_stages, will)};
static const floats playout_floats[] = {FLOATS(rt_playout, rate), FLOATS(rt_playout, stage.sound)};
static const floats capture_floats[] = {
    FLOATS(rt_capture, mono), FLOATS(rt_capture, hop), FLOATS(rt_capture, resampled), FLOATS(rt_capture, reference), FLOATS(rt_capture, clock_s),
    FLOATS(rt_capture, stats.probability), FLOATS(rt_capture, stats.level_peak), FLOATS(rt_capture, stats.level_rms),
    FLOATS(rt_capture, stats.floor_db), FLOATS(rt_capture, stats.bridged),
};
static const floats reference_floats[] = {
    FLOATS(rt_reference, mono), FLOATS(rt_reference, given), FLOATS(rt_reference, fifo), FLOATS(rt_reference, drift),
    FLOATS(rt_reference, age), FLOATS(rt_reference, age_sum), FLOATS(rt_reference, away_sum), FLOATS(rt_reference, end.time), FLOATS(rt_reference, stats.age_ms),
    FLOATS(rt_reference, stats.ppm), FLOATS(rt_reference, stats.delay_ms), FLOATS(rt_reference, stats.level_peak),
    FLOATS(rt_reference, stats.level_rms),
};
static const floats tap_floats[] = {FLOATS(rt_tap, past)};
static const floats playback_floats[] = {
    FLOATS(rt_playback, hop), FLOATS(rt_playback, fifo), FLOATS(rt_playback, spread), FLOATS(rt_playback, stats.level_peak), FLOATS(rt_playback, stats.level_rms),
    FLOATS(rt_playback, stats.gain), FLOATS(rt_playback, stats.unused), FLOATS(rt_playback, clock_s),
};

static uint64_t scanned; /* floats, in all */

/* By their bits: what the processor makes of subnormals is what is in question. */
static inline int is_subnormal(const void *value, size_t each)
{
    uint64_t bits = 0;
    if (each == 4) {
        uint32_t narrow;
        memcpy(&narrow, value, sizeof narrow);
        return (narrow & 0x7F800000u) == 0 && (narrow & 0x007FFFFFu) != 0;
    }
    memcpy(&bits, value, sizeof bits);
    return (bits & 0x7FF0000000000000u) == 0 && (bits & 0x000FFFFFFFFFFFFFu) != 0;
}

static inline uint32_t scan(const char *name, const void *values, size_t bytes, size_t each)
{
    uint32_t found = 0;
    for (size_t i = 0; i < bytes; i += each, scanned++)
        if (is_subnormal((const char *)values + i, each) && found++ == 0)
            fprintf(stderr, "%s[%zu] is subnormal\n", name, i / each);
    return found;
}

static inline uint32_t scan_all(const floats *list, size_t count, const void *state)
{
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += scan(list[i].name, (const char *)state + list[i].offset, list[i].bytes, list[i].each);
    return found;
}

static inline uint32_t scan_resample(const char *name, const rt_resample *r)
{
    if (r->taps == 0)
        return 0;
    size_t table = (size_t)(r->rows + r->points - 1) * r->taps, past = r->taps - 1 + RT_RESAMPLE_BLOCK;
    return scan(name, (const char *)r + r->table_offset, table * sizeof(float), 4) +
           scan(name, (const char *)r + r->past_offset, past * sizeof(float), 4);
}

static inline uint32_t scan_vad(const rt_vad *vad)
{
    return SCAN(vad_floats, vad) + SCAN(vad_features_floats, &vad->features) + SCAN(fft_floats, &vad->features.fft) +
           SCAN(vad_net_floats, &vad->net);
}

static inline uint32_t scan_jitter(const rt_jitter *jitter)
{
    return SCAN(jitter_floats, jitter) + SCAN(delays_floats, &jitter->delays);
}

static inline uint32_t scan_paced(const rt_paced *paced)
{
    return SCAN(paced_floats, paced) + SCAN(conceal_floats, &paced->conceal) + scan_jitter(&paced->jitter);
}

static inline uint32_t scan_playout(const rt_playout *p)
{
    uint32_t found = SCAN(playout_floats, p) + SCAN(edge_floats, &p->edge) + SCAN(stretch_floats, &p->stretch) +
                     SCAN(arrival_floats, &p->arrival);
    if (p->config.policy == RT_PLAYOUT_PACED)
        found += scan_paced((const rt_paced *)((const char *)p + p->paced_offset));
    if (p->config.format != RT_PCM16 || p->config.policy == RT_PLAYOUT_PACED)
        found += scan_resample("rt_playout's resampler", (const rt_resample *)((const char *)p + p->resample_offset));
    return found;
}

static inline uint32_t scan_reference(const rt_reference *r)
{
    return SCAN(reference_floats, r) +
           scan_resample("the reference's resampler", (const rt_resample *)((const char *)r + r->resample_offset));
}

static inline uint32_t scan_echo(const rt_echo *e)
{
    const rt_echo_filter *filter = &e->linear.filter;
    uint32_t found = SCAN(echo_floats, e) + SCAN(echo_linear_floats, &e->linear) + SCAN(echo_delay_floats, &e->linear.delay) + SCAN(echo_filter_floats, filter) +
                     SCAN(echo_features_floats, &e->features) + SCAN(echo_near_floats, &e->near) + SCAN(echo_net_floats, &e->net) + SCAN(echo_suppress_floats, &e->suppress);
    for (uint32_t p = 0; p < RT_ECHO_PARTS; p++)
        found += SCAN(echo_spectrum_floats, &filter->heard[p]) + SCAN(echo_spectrum_floats, &filter->taps[p]);
    for (uint32_t b = 0; b < RT_ECHO_BANDS; b++)
        found += SCAN(echo_usual_floats, &e->near.rest[b]) + SCAN(echo_usual_floats, &e->near.loud[b]);
    return found;
}

static inline uint32_t scan_hearing(rt_hearing *h)
{
    unsigned char *at = (unsigned char *)h;
    uint32_t found = 0;
    for (int n = 0; h->highpass_offset != 0 && n < 2; n++)
        found += SCAN(biquad_floats, &((rt_highpass *)(void *)(at + h->highpass_offset))->section[n]);
    if (h->echo_offset != 0)
        found += scan_echo((const rt_echo *)(const void *)(at + h->echo_offset));
    if (h->denoise_offset != 0)
        found += SCAN(denoise_floats, at + h->denoise_offset);
    if (h->agc_offset != 0)
        found += SCAN(agc_floats, at + h->agc_offset) + SCAN(volume_floats, &((rt_agc *)(void *)(at + h->agc_offset))->limiter);
    return found;
}

/* Both halves and all that is in them. */
static inline uint32_t scan_duplex(rt_duplex *d)
{
    const rt_capture *c = &d->capture;
    const rt_playback *p = &d->playback;
    uint32_t found = SCAN(capture_floats, c) + SCAN(playback_floats, p);
    found += scan_resample("capture's resampler", rt_duplex_part(d, c->resample_offset));
    found += scan_resample("playback's resampler", rt_duplex_part(d, p->resample_offset));
    if (d->config.send_format != RT_PCM16)
        found += scan_resample("the encoder's resampler", rt_duplex_part(d, c->encode_offset));
    found += scan_hearing(rt_duplex_part(d, c->hearing_offset));
    found += scan_vad(rt_duplex_part(d, c->vad_offset));
    found += SCAN(volume_floats, rt_duplex_part(d, p->volume_offset));
    found += SCAN(interrupt_floats, rt_duplex_part(d, c->interrupt_offset));
    found += SCAN(gate_floats, rt_duplex_part(d, c->gate_offset));
    found += SCAN(stages_floats, rt_duplex_part(d, c->stages_offset));
    found += SCAN(stages_floats, rt_duplex_part(d, p->stages_offset));
    if (c->tap_offset != 0)
        found += SCAN(tap_floats, rt_duplex_part(d, c->tap_offset));
    if (c->reference_offset != 0)
        found += scan_reference(rt_duplex_part(d, c->reference_offset));
    return found + scan_playout(rt_duplex_playout(d));
}

#endif
