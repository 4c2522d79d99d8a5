/* What the microphone's sound goes through in the capture half: what is held back keeps its place in time, mute and the button of
 * push-to-talk act on captured samples all the same, and the order of the parts. */
#include "duplex_bench.h"

enum { HOPS = 120 };

static const rt_hearing_config shaped = {.highpass_hz = 80.0f, .noise_reduction = RT_NOISE_REDUCTION_FAR, .noise_strength = 1.0f, .agc_dbfs = -20.0f, .agc_most_db = 30.0f};
static const rt_hearing_config everything = {
    .echo = RT_ECHO_MODE_AEC, .comfort_noise = 1, .unsure_threshold = 0.8f, .highpass_hz = 80.0f,
    .noise_reduction = RT_NOISE_REDUCTION_FAR, .noise_strength = 1.0f, .agc_dbfs = -20.0f, .agc_most_db = 30.0f,
};
static const rt_hearing_config transparent = {.noise_reduction = RT_NOISE_REDUCTION_NEAR}; /* held back, and otherwise left alone */

static int16_t sent[HOPS * RT_HOP]; /* by the position at which it was captured */
static int flags[HOPS];             /* of the record; -1: not sent */
static float loudness;              /* of the noise */

static float noise_in(uint64_t i) { return loudness * noise_at(i); }

static void begin(float loud)
{
    loudness = loud;
    for (int k = 0; k < HOPS; k++)
        flags[k] = -1;
    memset(sent, 0, sizeof sent);
}

/* So many hops of noise that depends only on where it is; returns how many records came. */
static uint32_t capture(rt_duplex *d, uint64_t *at, uint32_t hops)
{
    float in[RT_HOP];
    rt_record record;
    uint32_t n = 0;
    for (uint32_t h = 0; h < hops; h++) {
        for (int i = 0; i < RT_HOP; i++)
            in[i] = noise_in((*at)++);
        CHECK_EQUAL(rt_capture_process(d, in, RT_HOP), RT_OK);
        for (; rt_duplex_read_records(d, &record, 1); n++) {
            CHECK(record.position % RT_HOP == 0 && record.position < *at);
            CHECK(flags[record.position / RT_HOP] < 1); /* once as sound */
            flags[record.position / RT_HOP] = (int)record.flags;
            memcpy(sent + record.position, record.payload, record.bytes);
        }
    }
    return n;
}

static void what_is_refused(void)
{
    static const rt_hearing_config bad[] = {
        {.highpass_hz = 19.0f}, {.highpass_hz = 401.0f}, {.highpass_hz = NAN}, {.noise_reduction = 3}, {.noise_reduction = -1},
        {.noise_strength = 2.1f}, {.noise_strength = NAN}, {.agc_dbfs = -5.0f}, {.agc_dbfs = -41.0f}, {.agc_dbfs = 3.0f},
        {.agc_most_db = 41.0f}, {.echo = 4}, {.echo = -1}, {.comfort_noise = 2}, {.unsure_threshold = 1.1f}, {.unsure_threshold = NAN},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rt_duplex_config config = usual();
        config.hearing = bad[i];
        CHECK_EQUAL(rt_duplex_size(&config), 0);
    }
}

/* Sound that was held back is sent under the position at which it was captured, and the delay is in the latency. */
static void sound_keeps_its_place(void)
{
    rt_duplex_config config = usual();
    config.interrupt.policy = RT_POLICY_NEVER;
    rt_duplex *plain = make(&config);
    config.hearing = transparent;
    rt_duplex *d = make(&config);
    uint64_t at = 0;
    begin(0.3f);
    CHECK_EQUAL(capture(d, &at, HOPS), HOPS - 1);
    for (uint32_t i = 0; i < (HOPS - 1) * RT_HOP; i++)
        CHECK_NEAR(sent[i], 32767.0f * noise_in(i), 1.5);
    CHECK_NEAR(rt_capture_latency(d, RT_HOP) - rt_capture_latency(plain, RT_HOP), RT_HOP, 1e-9);
    rt_capture_stats stats;
    CHECK_EQUAL(rt_capture_read_stats(d, &stats), RT_OK);
    CHECK_EQUAL(stats.hops, HOPS);
    CHECK_EQUAL(stats.gate.settled, HOPS - 1); /* the newest hop is still to come */
    free(plain);
    free(d);
}

/* Nothing said before gets into muted sound, by no filter's ringing, and nothing after it is lost. */
static void mute_is_exact_to_the_sample(const rt_hearing_config *hearing, uint64_t late)
{
    for (uint64_t after = 0; after < 3 * RT_HOP; after += 79) {
        rt_duplex_config config = usual();
        config.interrupt.policy = RT_POLICY_NEVER;
        config.hearing = *hearing;
        rt_duplex *d = make(&config);
        uint64_t at = 0;
        begin(0.3f);
        capture(d, &at, 50);
        uint64_t on = rt_capture_position(d) + after, off = on + 2000;
        rt_duplex_set_mute(d, 1, on);
        capture(d, &at, 6);
        rt_duplex_set_mute(d, 0, off);
        capture(d, &at, 40);
        uint32_t silent = 0;
        for (uint64_t i = on - 500; i < off + 500; i++) {
            if (i >= on + late && i < off + late)
                CHECK_EQUAL(sent[i], 0);
            else
                silent += sent[i] == 0;
        }
        CHECK(silent < 100); /* noise has few zeros */
        rt_capture_stats stats;
        CHECK_EQUAL(rt_capture_read_stats(d, &stats), RT_OK);
        CHECK(!stats.muted && stats.level_rms > 0.0f);
        free(d);
    }
}

/* Too soft to open a gate: sent from the hop in which the button went down to the one in which it came up, and nothing of before. */
static void the_button_opens_the_gate(int mode, const rt_hearing_config *hearing)
{
    rt_duplex_config config = usual();
    config.hearing = *hearing;
    config.gate.mode = mode;
    rt_duplex *d = make(&config);
    uint64_t at = 0;
    begin(0.001f);
    capture(d, &at, 30);
    uint64_t down = rt_capture_position(d) + 100;
    rt_duplex_set_talk(d, 1, down);
    capture(d, &at, 30);
    uint64_t up = rt_capture_position(d) + 100;
    rt_duplex_set_talk(d, 0, up);
    rt_duplex_set_turn_open(d, 0);
    capture(d, &at, HOPS - 60);
    for (uint64_t k = 0; k < HOPS - RT_HEARING_MOST; k++)
        if (k >= down / RT_HOP && k <= up / RT_HOP)
            CHECK_EQUAL(flags[k], 0);
        else
            CHECK_EQUAL(flags[k], mode == RT_GATE_PAUSE ? -1 : RT_RECORD_SILENCE);
    free(d);
}

/* What is said while a reply plays is held until it is known to be one; with the button held there is nothing to wait for. */
static void the_button_holds_nothing_back(int held)
{
    rt_duplex_config config = usual();
    config.hearing = transparent;
    room *r = enter(&config, 240000);
    rt_duplex_set_talk(r->d, held, 10 * RT_HOP);
    for (int i = 0; i < 20; i++)
        hop(r, 0);
    int ducked = 0;
    for (int i = 0; i < 5; i++) {
        hop(r, 1);
        ducked |= saw(r, RT_EVENT_DUCKED, 1);
        for (uint32_t k = 0; k < r->record_count; k++)
            CHECK_EQUAL(r->records[k].flags, held ? 0 : RT_RECORD_SILENCE);
    }
    CHECK(ducked);
    leave(r);
}

/* A copy goes on as the first does: nothing in it points anywhere. */
static void a_copy_runs_alike(void)
{
    rt_duplex_config config = usual();
    config.hearing = everything;
    rt_duplex *d = make(&config);
    uint64_t at = 0;
    begin(0.3f);
    capture(d, &at, 30);
    rt_duplex *copy = check_memory(rt_duplex_size(&config));
    memcpy(copy, d, rt_duplex_size(&config));
    uint64_t again = at;
    static int16_t first[HOPS * RT_HOP];
    capture(d, &at, 60);
    memcpy(first, sent, sizeof sent);
    begin(0.3f);
    capture(copy, &again, 60);
    CHECK(memcmp(first + 30 * RT_HOP, sent + 30 * RT_HOP, 58 * RT_HOP * sizeof *sent) == 0);
    free(copy);
    free(d);
}

/* Speech that is too soft comes to the level that was asked for; steady noise goes down; both are told. */
static void the_parts_do_their_work(void)
{
    rt_duplex_config config = usual();
    config.interrupt.policy = RT_POLICY_NEVER;
    config.hearing = (rt_hearing_config){.agc_dbfs = -20.0f, .agc_most_db = 30.0f};
    rt_duplex *d = make(&config);
    rt_hearing_stats stats;
    uint64_t at = 0;
    begin(0.03f); /* about -34 dBFS, which the detector of these tests calls speech */
    capture(d, &at, HOPS);
    CHECK_EQUAL(rt_duplex_read_hearing_stats(d, &stats), RT_OK);
    CHECK(stats.agc_db > 5.0f && stats.agc_db <= 0.06f * HOPS + 1.0f && stats.noise_db == -120.0f);
    free(d);
    config.hearing = (rt_hearing_config){.noise_reduction = RT_NOISE_REDUCTION_FAR, .noise_strength = 1.0f};
    d = make(&config);
    at = 0;
    begin(0.03f);
    capture(d, &at, HOPS);
    CHECK_EQUAL(rt_duplex_read_hearing_stats(d, &stats), RT_OK);
    CHECK(stats.noise_db > -45.0f && stats.noise_db < -25.0f && stats.agc_db == 0.0f);
    double in = 0.0, out = 0.0;
    for (uint64_t i = 80 * RT_HOP; i < 110 * RT_HOP; i++) {
        in += (double)noise_in(i) * noise_in(i);
        out += sent[i] / 32767.0 * sent[i] / 32767.0;
    }
    CHECK(10.0 * log10(in / out) > 6.0);
    free(d);
    config.hearing = (rt_hearing_config){.highpass_hz = 400.0f};
    d = make(&config);
    float hum[RT_HOP], peak = 0.0f;
    rt_record record;
    for (uint64_t h = 0; h < HOPS; h++) {
        for (int i = 0; i < RT_HOP; i++)
            hum[i] = 0.5f * (float)sin(2.0 * PI * 50.0 * (double)(h * RT_HOP + i) / RT_RATE);
        rt_capture_process(d, hum, RT_HOP);
        for (int i = 0; rt_duplex_read_records(d, &record, 1) && h > 20 && i < RT_HOP; i++) {
            int16_t x;
            memcpy(&x, record.payload + 2 * i, 2);
            peak = fmaxf(peak, fabsf(x / 32767.0f));
        }
    }
    CHECK(peak < 0.001f);
    free(d);
}

/* While something plays: somebody near counts at once, clear speech that the canceller does not rule out when it lasts, and nothing does while the
 * filter does not fit what is heard. */
static void who_may_interrupt(void)
{
    rt_hearing_config config = {.echo = RT_ECHO_MODE_AEC, .unsure_threshold = 0.8f};
    rt_hearing *h = check_memory(rt_hearing_size(&config));
    CHECK_EQUAL(rt_hearing_init(h, &config), RT_OK);
    h->echo = (rt_echo_result){.near = 0.7f, .fit = 1.0f, .delay_ms = 40.0f, .converged = 1, .playing = 1};
    CHECK_NEAR(rt_hearing_near(h, 0.4f), 0.4, 1e-6);
    h->echo.fit = 0.3f;
    CHECK_NEAR(rt_hearing_near(h, 1.0f), 0.0, 1e-6);
    h->echo.fit = 1.0f;
    h->echo.near = 0.2f;
    for (int i = 0; i < 19; i++)
        CHECK_NEAR(rt_hearing_near(h, 0.95f), 0.0, 1e-6);
    CHECK_NEAR(rt_hearing_near(h, 0.95f), 0.95, 1e-6);
    CHECK_NEAR(rt_hearing_near(h, 0.5f), 0.0, 1e-6);
    for (int i = 0; i < 2; i++)
        CHECK_NEAR(rt_hearing_near(h, 0.95f), i == 1 ? 0.95 : 0.0, 1e-6); /* a gap is not a beginning */
    h->echo.near = 0.05f;
    CHECK_NEAR(rt_hearing_near(h, 0.95f), 0.0, 1e-6);
    h->echo.near = 0.7f;
    h->echo.converged = 0;
    CHECK_NEAR(rt_hearing_near(h, 0.7f), 0.0, 1e-6);
    CHECK_NEAR(rt_hearing_near(h, 0.95f), 0.95, 1e-6);
    h->echo.playing = 0;
    h->echo.near = 0.0f;
    CHECK_NEAR(rt_hearing_near(h, 0.3f), 0.3, 1e-6);
    free(h);
}

int main(void)
{
    who_may_interrupt();
    static const rt_hearing_config nothing;
    what_is_refused();
    sound_keeps_its_place();
    mute_is_exact_to_the_sample(&shaped, 0);
    mute_is_exact_to_the_sample(&everything, RT_ECHO_DELAY);
    for (int mode = RT_GATE_SILENCE; mode <= RT_GATE_PAUSE; mode++) {
        the_button_opens_the_gate(mode, &nothing);
        the_button_opens_the_gate(mode, &transparent);
    }
    the_button_holds_nothing_back(0);
    the_button_holds_nothing_back(1);
    a_copy_runs_alike();
    the_parts_do_their_work();
    return CHECK_DONE();
}
