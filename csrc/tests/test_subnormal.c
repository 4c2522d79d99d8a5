/* After 1 s of loud sound and 10 s of digital silence no float in any block's state is subnormal. The sound ends at
 * once, or it fades out over 0.3 s through all magnitudes a float has. The processor is left as it was started. */
#include "pcm.h"
#include "subnormal.h"

enum { SECOND = 100, LOUD = SECOND, SILENT = 10 * SECOND, MOST = 192000 / 100 };

static float in[MOST], out[4 * MOST];

/* One hop at `rate` of something like speech: pulses of 120 Hz in noise, four syllables a second; then silence. */
static const float *hop_of(uint32_t hop, uint32_t rate, int fades)
{
    static unsigned long long seed = 1;
    uint32_t frames = rate / 100;
    if (hop >= LOUD)
        return memset(in, 0, frames * sizeof *in);
    for (uint32_t i = 0; i < frames; i++) {
        double t = hop * 0.01 + (double)i / rate, level = 0.2 + 0.8 * fabs(sin(3.14159265 * 4 * t));
        double sound = (fmod(t * 120, 1.0) < 0.1 ? 0.6 : -0.1) + 0.3 * (check_random(&seed) / 4294967296.0 - 0.5);
        double ending = !fades || t < 0.7 ? 1.0 : exp(-104 * (t - 0.7) / 0.3); /* the least subnormal is exp(-103.3) */
        in[i] = (float)(level * sound * ending);
    }
    return in;
}

static void check_resample(const rt_resample_config *config, int fades)
{
    rt_resample *r = check_memory(rt_resample_size_for(config));
    CHECK_EQUAL(rt_resample_init_for(r, config), RT_OK);
    for (uint32_t i = 0; i < LOUD + SILENT; i++)
        rt_resample_process(r, hop_of(i, config->rate_in, fades), config->rate_in / 100, out, 4 * MOST);
    CHECK_EQUAL(scan_resample("rt_resample", r), 0);
    free(r);
}

static void check_vad(int fades)
{
    rt_vad *vad = check_memory(rt_vad_size());
    rt_vad_init(vad);
    for (uint32_t i = 0; i < LOUD + SILENT; i++)
        rt_vad_process(vad, hop_of(i, RT_RATE, fades));
    CHECK_EQUAL(scan_vad(vad), 0);
    free(vad);
}

static void check_stretch(float rate, int fades)
{
    static float queue[RT_HOP * (LOUD + SILENT)];
    rt_stretch *s = check_memory(rt_stretch_size());
    rt_stretch_step step;
    rt_stretch_init(s, RT_RATE);
    for (uint32_t i = 0; i < LOUD + SILENT; i++)
        memcpy(queue + i * RT_HOP, hop_of(i, RT_RATE, fades), RT_HOP * sizeof(float));
    for (uint32_t at = 0; at < RT_HOP * (LOUD + SILENT) - 900; at += step.consumed)
        rt_stretch_process(s, queue + at, 900, rate, out, RT_HOP, &step);
    CHECK_EQUAL(SCAN(stretch_floats, s), 0);
    free(s);
}

static void check_echo(int fades)
{
    rt_echo *echo = check_memory(rt_echo_size());
    rt_echo_config config = {RT_ECHO_CANCEL, fades, (uint32_t)fades};
    rt_echo_result result;
    CHECK_EQUAL(rt_echo_init(echo, &config), RT_OK);
    for (uint32_t i = 0; i < LOUD + SILENT; i++) {
        const float *hop = hop_of(i, RT_RATE, fades);
        rt_echo_process(echo, hop, hop, out, &result);
    }
    CHECK_EQUAL(scan_echo(echo), 0);
    free(echo);
}

static void check_agc(int fades)
{
    rt_agc *agc = check_memory(rt_agc_size());
    rt_highpass *highpass = check_memory(rt_highpass_size());
    float hop[RT_HOP];
    rt_agc_init(agc, -20.0f, 30.0f);
    rt_highpass_init(highpass, 80.0f);
    for (uint32_t i = 0; i < LOUD + SILENT; i++) {
        memcpy(hop, hop_of(i, RT_RATE, fades), sizeof hop);
        rt_highpass_process(highpass, hop, RT_HOP);
        rt_agc_process(agc, hop, i % 2 ? 1.0f : 0.0f);
    }
    CHECK_EQUAL(SCAN(agc_floats, agc) + SCAN(volume_floats, &agc->limiter), 0);
    CHECK_EQUAL(SCAN(biquad_floats, &highpass->section[0]) + SCAN(biquad_floats, &highpass->section[1]), 0);
    free(agc);
    free(highpass);
}

static void check_denoise(int fades)
{
    rt_denoise *denoise = check_memory(rt_denoise_size());
    float hop[RT_HOP];
    rt_denoise_init(denoise, RT_DENOISE_FAR, 1.0f);
    for (uint32_t i = 0; i < LOUD + SILENT; i++) {
        memcpy(hop, hop_of(i, RT_RATE, fades), sizeof hop);
        rt_denoise_process(denoise, hop);
    }
    CHECK_EQUAL(SCAN(denoise_floats, denoise), 0);
    free(denoise);
}

/* Every seventh hop is lost, in speech and in silence; and from hop `away` on all are. */
static void check_conceal(int fades, uint32_t away)
{
    rt_conceal *conceal = check_memory(rt_conceal_size());
    rt_conceal_init(conceal);
    for (uint32_t i = 0; i < LOUD + SILENT; i++)
        rt_conceal_process(conceal, i % 7 == 6 || i >= away ? NULL : hop_of(i, RT_RATE, fades), out);
    CHECK_EQUAL(SCAN(conceal_floats, conceal), 0);
    free(conceal);
}

static void check_edge(void)
{
    rt_edge edge = {0};
    float hop[RT_HOP];
    for (uint32_t i = 0; i < LOUD + SILENT; i++) {
        memcpy(hop, hop_of(i, RT_RATE, 0), sizeof hop);
        if (i % 9 == 8)
            rt_edge_rise(&edge);
        rt_edge_process(&edge, hop, RT_HOP);
        if (i % 11 == 10) {
            rt_edge_break(&edge);
            rt_edge_tail(&edge, hop, RT_HOP);
        }
    }
    CHECK_EQUAL(SCAN(edge_floats, &edge), 0);
}

/* Packets of 20 ms, up to 60 ms late while there is sound; later on time, or none at all. Histograms forget more slowly
 * than filters ring out: ten minutes. */
static void check_jitter(int quiet)
{
    rt_jitter *jitter = check_memory(rt_jitter_size());
    rt_jitter_config config = {8000, 2000, 1.0f};
    unsigned long long seed = 3;
    int64_t head = 0, end = 0;
    uint32_t sent = 0;
    CHECK_EQUAL(rt_jitter_init(jitter, &config), RT_OK);
    for (int64_t hop = 0; hop < 60 * SILENT; hop++) {
        int64_t late = hop < LOUD ? check_random(&seed) % 60000 : 0;
        for (; !(quiet && hop >= LOUD) && sent * 20000 + late <= hop * 10000; sent++) {
            rt_jitter_packet packet = {hop * 10000, 1, sent * 160, 160, (uint16_t)sent, RT_JITTER_SOUND};
            rt_jitter_placed placed;
            rt_jitter_arrived(jitter, &packet, &placed);
            end = placed.position + 160;
        }
        rt_jitter_decision decision;
        int action = rt_jitter_decide(jitter, hop * 10000, head, end > head ? end - head : 0, 0, hop < LOUD, &decision);
        head += decision.jump + (action == RT_JITTER_PLAY && end > head ? 80 : 0);
    }
    CHECK_EQUAL(scan_jitter(jitter), 0);
    free(jitter);
}

static void half_volume(void *state, float *block, uintptr_t n)
{
    (void)state;
    for (uintptr_t i = 0; i < n; i++)
        block[i] *= 0.5f;
}

/* 120 ms of a reply, in packets of 20 ms where they are wanted; one is missing. */
static void send(rt_playout *playout, uint32_t number, const int16_t *reply)
{
    uint32_t frames = 20 * playout->rate_hz / 1000;
    if (playout->config.policy != RT_PLAYOUT_PACED) {
        CHECK(rt_playout_push(playout, number, number, reply, RT_HOP * 12) > 0);
        return;
    }
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t n = 6 * number + i;
        rt_jitter_packet packet = {n * 20000, 1, n * frames, frames, (uint16_t)n, RT_JITTER_SOUND};
        if (i != 3)
            CHECK_EQUAL(rt_playout_push_packet(playout, number, number, &packet, reply, frames), RT_OK);
    }
}

/* A playout by itself: no owner has set the processor for it. Five minutes of digital silence, since what follows a level
 * forgets slowly; the packets go on. */
static void check_paced_playout(void)
{
    static int16_t sound[RT_HOP * 2];
    rt_playout_config config = {RT_PCM16, 120000, 20, 0, 0, RT_PLAYOUT_PACED, 2000, 1.0f};
    rt_playout *p = check_memory(rt_playout_size(&config));
    CHECK_EQUAL(rt_playout_init(p, &config), RT_OK);
    rt_playout_open(p, 1);
    for (uint32_t hop = 0; hop < LOUD + 30 * SILENT; hop++) {
        rt_playout_clock(p, hop * 10000);
        if (hop % 2 == 0) {
            rt_jitter_packet packet = {hop * 10000, 1, hop * RT_HOP, 2 * RT_HOP, (uint16_t)(hop / 2), RT_JITTER_SOUND};
            rt_pcm_from_float(hop_of(hop, RT_RATE, 0), sound, RT_HOP);
            rt_pcm_from_float(hop_of(hop + 1, RT_RATE, 0), sound + RT_HOP, RT_HOP);
            if (hop % 50 != 20)
                CHECK_EQUAL(rt_playout_push_packet(p, 1, 1, &packet, sound, 2 * RT_HOP), RT_OK);
        }
        rt_playout_process(p, 0, out);
    }
    CHECK_EQUAL(scan_playout(p), 0);
    free(p);
}

/* Both halves with a duck, an interruption, a limiter at work, stages and a volume; `config` says what else. */
static void check_duplex(const rt_duplex_config *config, int fades)
{
    static int16_t reply[24000];
    rt_duplex *d = check_memory(rt_duplex_size(config));
    rt_record records[64];
    rt_event events[64];
    rt_stage stage = {half_volume, NULL, 0, 0};
    unsigned long long seed = 5;
    uint32_t frames = config->capture_rate_hz / 100;
    for (uint32_t i = 0; i < 24000; i++)
        reply[i] = (int16_t)check_random(&seed);
    CHECK_EQUAL(rt_duplex_init(d, config), RT_OK);
    rt_playout *playout = rt_duplex_playout(d);
    rt_duplex_set_volume(d, 1.3f);
    for (uint32_t i = 0; i < LOUD + SILENT; i++) {
        if (i % 10 == 0 && i < LOUD) { /* the first reply is interrupted by the sound, the next are left to play out */
            rt_playout_open(playout, i / 10 + 1);
            send(playout, i / 10 + 1, reply);
            rt_playout_complete(playout, i / 10 + 1);
        }
        if (i == 20) {
            CHECK_EQUAL(rt_stages_set(rt_duplex_capture_stages(d), &stage, 1), RT_OK);
            CHECK_EQUAL(rt_stages_set(rt_duplex_playback_stages(d), &stage, 1), RT_OK);
        }
        CHECK_EQUAL(rt_duplex_process(d, hop_of(i, config->capture_rate_hz, fades), out, frames), RT_OK);
        rt_duplex_read_records(d, records, 64);
        rt_duplex_read_events(d, events, 64);
    }
    CHECK(d->playback.stats.limited_hops > 0);
    CHECK(atomic_load(&playout->interruptions) > 0 || config->hearing.echo != RT_ECHO_MODE_OFF);
    CHECK_EQUAL(scan_duplex(d), 0);
    free(d);
}

#ifndef HALVES_STEP /* of the configurations; a run under an emulator takes some of each kind */
#define HALVES_STEP 1
#endif

static void check_halves(int fades)
{
    static const int policies[] = {RT_PLAYOUT_FIXED, RT_PLAYOUT_BURST, RT_PLAYOUT_PACED};
    static const int formats[] = {RT_PCM16, RT_ULAW, RT_ALAW};
    static const uint32_t rates[] = {48000, 44100, 16000, 24000};
    for (uint32_t i = 0; i < 36; i += HALVES_STEP) {
        rt_duplex_config config = {
            .capture_rate_hz = rates[i % 4], .playback_rate_hz = rates[i % 4],
            .capture_channels = 1, .playback_channels = 1,
            .sample = RT_FLOAT32, .max_block_frames = MOST, .send_format = formats[i % 3], .records_ms = 2000,
            .speech_threshold = 0.0f, .speech_ms = 20, .pause_ms = 150, .duck_gain = 0.25f, .ramp_ms = 10, .wakeup_descriptor = -1, .wakeup_records = 1,
            .gate = {(int)(i % 3), 0.5f, 0.3f, 200, 100, 0},
            .interrupt = {.policy = RT_POLICY_EITHER, .threshold = 0.0f, .confirm_ms = 100, .restore_ms = 200},
            .playout = {formats[i % 3], 240000, 20, 40, 40, policies[i / 12], 2000, 1.0f},
        };
        config.pairs_ms = i % 3 ? 100 : 0;
        config.two_clocks = i % 3 == 2;
        if (i % 2)
            config.hearing = (rt_hearing_config){
                .echo = (int)i / 2 % 4, .comfort_noise = i % 5 != 0, .unsure_threshold = 0.8f, .highpass_hz = 80.0f,
                .noise_reduction = 1 + (int)i / 2 % 2, .noise_strength = 1.0f, .agc_dbfs = -20.0f, .agc_most_db = 30.0f,
            };
        check_duplex(&config, fades);
    }
}

/* The scan sees what it is to see: one planted in each field, in its last float. */
static void check_scan_finds(const floats *list, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        char *state = check_memory(size), kept[256];
        memset(state + list[i].offset + list[i].bytes - list[i].each, 0, list[i].each);
        state[list[i].offset + list[i].bytes - list[i].each] = 1; /* the least subnormal, on little-endian machines */
        int little = *(const char *)&(uint16_t){1} == 1;
        FILE *saved = stderr;
        stderr = fmemopen(kept, sizeof kept, "w"); /* what it says is no complaint here */
        uint32_t found = scan_all(list, count, state);
        fclose(stderr);
        stderr = saved;
        CHECK(!little || found == 1);
        free(state);
    }
}
#define FINDS(list, type) check_scan_finds(list, sizeof(list) / sizeof *(list), sizeof(type))

int main(void)
{
    static const rt_resample_config resamplers[] = {
        {48000, 24000, RT_RESAMPLE_LIVE, 0}, {24000, 48000, RT_RESAMPLE_LIVE, 0}, {8000, 44100, RT_RESAMPLE_LIVE, 0},
        {44100, 24000, RT_RESAMPLE_FILE, 0}, {24000, 24000, RT_RESAMPLE_FILE, 1}, {192000, 8000, RT_RESAMPLE_LIVE, 1},
    };
    FINDS(vad_floats, rt_vad);
    FINDS(biquad_floats, rt_biquad);
    FINDS(vad_features_floats, rt_vad_features);
    FINDS(vad_net_floats, rt_vad_net);
    FINDS(gate_floats, rt_gate);
    FINDS(delays_floats, rt_delays);
    FINDS(playback_floats, rt_playback);
    for (int fades = 0; fades < 2; fades++) {
        for (size_t i = 0; i < sizeof resamplers / sizeof *resamplers; i++)
            check_resample(&resamplers[i], fades);
        check_vad(fades);
        check_stretch(0.94f, fades);
        check_stretch(1.06f, fades);
        check_echo(fades);
        check_agc(fades);
        check_denoise(fades);
        check_conceal(fades, UINT32_MAX);
        check_conceal(fades, LOUD - 4);
        check_halves(fades);
    }
    check_edge();
    check_jitter(0);
    check_jitter(1);
    check_paced_playout();
    CHECK(scanned > 1000000);
    return CHECK_DONE();
}
