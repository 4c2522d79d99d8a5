/* The two halves as a stream: the same whatever the blocks, what goes in comes out, and the delay is what the functions say. */
#include "duplex_bench.h"
#include "g711.h"

typedef struct stream {
    uint32_t rate_hz, channels;
    int sample;
    uint64_t seed; /* of the cuts; 0: blocks of 10 ms */
    unsigned char *out;
    rt_record *records;
    uint32_t record_count, event_count;
    rt_event events[500];
} stream;

static void run_stream(stream *s, uint32_t frames)
{
    rt_duplex_config config = usual();
    config.capture_rate_hz = config.playback_rate_hz = s->rate_hz;
    config.capture_channels = config.playback_channels = s->channels;
    config.capture_channel = s->channels - 1;
    config.sample = s->sample;
    config.gate.mode = RT_GATE_SILENCE;
    config.interrupt.policy = RT_POLICY_NEVER; /* the one thing that depends on when the halves meet */
    config.send_format = s->rate_hz == 8000 ? RT_ULAW : RT_PCM16;
    if (s->sample == RT_INT16)
        config.hearing = (rt_hearing_config){.echo = RT_ECHO_MODE_AUTO, .comfort_noise = 1, .unsure_threshold = 0.8f, .highpass_hz = 80.0f, .noise_reduction = RT_NOISE_REDUCTION_FAR, .noise_strength = 1.0f, .agc_dbfs = -20.0f, .agc_most_db = 30.0f};
    rt_duplex *d = make(&config);
    rt_playout *playout = rt_duplex_playout(d);
    size_t bytes = s->sample == RT_INT16 ? 2 : 4;
    static float in[MOST_BLOCK * MOST_CHANNELS];
    s->out = calloc(frames * s->channels, bytes);
    s->records = calloc(2000, sizeof *s->records);
    int16_t *speech = tone(30000, 0.9);
    rt_playout_open(playout, 1);
    CHECK_EQUAL(rt_playout_push(playout, 1, 1, speech, 10000), 10000);
    rt_playout_complete(playout, 1);
    rt_playout_push(playout, 2, 1, speech, 9999); /* runs dry */
    rt_duplex_set_volume(d, 1.5f); /* so that the limiter works too */
    unsigned long long state = s->seed;
    for (uint32_t at = 0; at < frames;) {
        uint32_t most = check_random(&state) % 5 == 0 ? 7 : MOST_BLOCK;
        uint32_t n = s->seed == 0 ? s->rate_hz / 100 : 1 + check_random(&state) % most;
        n = n < frames - at ? n : frames - at;
        for (uint32_t i = 0; i < n * s->channels; i++) {
            uint32_t frame = at + i / s->channels;
            float x = frame / (s->rate_hz / 4) % 3 == 1 ? 0.3f * noise_at(frame) : 0.0f; /* bursts of 250 ms */
            x = i % s->channels == s->channels - 1 ? x : 0.77f;                            /* only one channel is the microphone */
            if (s->sample == RT_INT16)
                ((int16_t *)in)[i] = (int16_t)lrintf(x * 32767.0f);
            else
                in[i] = x;
        }
        CHECK_EQUAL(rt_duplex_process(d, in, s->out + (size_t)at * s->channels * bytes, n), RT_OK);
        at += n;
        s->record_count += rt_duplex_read_records(d, s->records + s->record_count, 2000 - s->record_count);
        s->event_count += rt_duplex_read_events(d, s->events + s->event_count, 500 - s->event_count);
    }
    rt_capture_stats stats;
    CHECK_EQUAL(rt_capture_read_stats(d, &stats), RT_OK);
    CHECK_EQUAL(stats.frames, frames);
    CHECK_EQUAL(stats.hops, (uint64_t)frames * 100 / s->rate_hz); /* the total is a whole number of hops, none is missing */
    CHECK_EQUAL(stats.records, s->record_count);
    CHECK_EQUAL(stats.lost_records, 0);
    CHECK(config.hearing.echo != RT_ECHO_MODE_OFF || stats.gate.omitted_hops > 0); /* noise in a reply is nobody near */
    free(speech);
    free(d);
}

static int event_order(const void *a, const void *b)
{
    const rt_event *x = a, *y = b;
    return memcmp(x, y, sizeof *x) == 0 ? 0 : x->kind / 16 != y->kind / 16 ? (x->kind > y->kind ? 1 : -1)
           : x->position != y->position ? (x->position > y->position ? 1 : -1) : (x->kind > y->kind ? 1 : -1);
}

static void compare_streams(uint32_t rate_hz, uint32_t channels, int sample, uint64_t seed)
{
    stream whole = {rate_hz, channels, sample, 0, NULL, NULL, 0, 0, {{0, 0, 0}}}, cut = whole;
    uint32_t frames = rate_hz * 3 / 2;
    size_t bytes = (size_t)frames * channels * (sample == RT_INT16 ? 2 : 4);
    cut.seed = seed;
    run_stream(&whole, frames);
    run_stream(&cut, frames);
    CHECK(memcmp(whole.out, cut.out, bytes) == 0);
    CHECK_EQUAL(cut.record_count, whole.record_count);
    for (uint32_t i = 0; i < whole.record_count && i < cut.record_count; i++)
        CHECK(memcmp(&whole.records[i], &cut.records[i], offsetof(rt_record, payload) + whole.records[i].bytes) == 0);
    qsort(whole.events, whole.event_count, sizeof(rt_event), event_order); /* capture's and playback's come from two rings */
    qsort(cut.events, cut.event_count, sizeof(rt_event), event_order);
    CHECK_EQUAL(cut.event_count, whole.event_count);
    CHECK(memcmp(whole.events, cut.events, whole.event_count * sizeof(rt_event)) == 0);
    CHECK(whole.event_count >= (sample == RT_INT16 ? 3 : 6));
    for (size_t i = 0; channels > 1 && i < bytes; i++) { /* all channels are alike */
        size_t width = sample == RT_INT16 ? 2 : 4, frame = i / (width * channels), rest = i % width;
        CHECK(whole.out[i] == whole.out[frame * width * channels + rest]);
    }
    free(whole.out), free(whole.records), free(cut.out), free(cut.records);
}

static void what_goes_in_comes_out(void)
{
    rt_duplex_config config = usual();
    config.sample = RT_INT16;
    rt_duplex *d = make(&config);
    static int16_t in[48000], out[48000];
    static rt_record records[200];
    for (int i = 0; i < 48000; i++)
        in[i] = (int16_t)lrintf(32767.0f * noise_at((uint64_t)i));
    rt_playout_open(rt_duplex_playout(d), 1);
    rt_playout_push(rt_duplex_playout(d), 7, 1, in, 24000);
    rt_playout_complete(rt_duplex_playout(d), 7);
    config.interrupt.policy = RT_POLICY_NEVER;
    for (int at = 0; at < 48000; at += 480)
        rt_playback_process(d, out + at, 480);
    CHECK(memcmp(in, out, 24000 * sizeof *in) == 0); /* untouched */
    for (int i = 24000; i < 48000; i++)
        CHECK(out[i] == 0);
    for (int at = 0; at < 48000; at += 480)
        rt_capture_process(d, in + at, 480);
    CHECK_EQUAL(rt_duplex_read_records(d, records, 200), 200);
    for (int r = 0; r < 200; r++) {
        CHECK_EQUAL(records[r].position, r * RT_HOP);
        CHECK_EQUAL(records[r].bytes, 480);
        CHECK_EQUAL(records[r].flags, 0);
        CHECK(memcmp(records[r].payload, in + r * RT_HOP, 480) == 0);
    }
    rt_playback_stats stats;
    CHECK_EQUAL(rt_playback_read_stats(d, &stats), RT_OK);
    CHECK(stats.frames == 48000 && stats.hops == 200 && stats.limited_hops == 0 && stats.lost_events == 0);
    CHECK(stats.playout.played == 24000 && stats.playout.item == 7 && stats.playout.state == RT_SILENT);
    rt_event events[10];
    CHECK_EQUAL(rt_duplex_read_events(d, events, 1), 1); /* speech: the noise */
    free(d);
}

static void capture_may_be_null_and_wild(void)
{
    rt_duplex_config config = usual();
    rt_duplex *d = make(&config);
    float in[480];
    rt_record record;
    for (int i = 0; i < 480; i++)
        in[i] = i % 4 == 0 ? NAN : i % 4 == 1 ? INFINITY : i % 4 == 2 ? -INFINITY : 1e30f;
    CHECK_EQUAL(rt_capture_process(d, in, 240), RT_OK);
    CHECK_EQUAL(rt_capture_process(d, NULL, 240), RT_OK);
    rt_duplex_read_records(d, &record, 1);
    int16_t *sent = (int16_t *)(void *)record.payload;
    CHECK(sent[0] == 0 && sent[1] == 32767 && sent[2] == -32768 && sent[3] == 32767);
    rt_duplex_read_records(d, &record, 1);
    for (int i = 0; i < 480; i++)
        CHECK(record.payload[i] == 0);
    CHECK_EQUAL(rt_capture_process(d, NULL, 0), RT_OK);
    CHECK_EQUAL(rt_playback_process(d, in, 0), RT_OK);
    CHECK_EQUAL(rt_capture_process(d, NULL, MOST_BLOCK + 1), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_playback_process(d, in, MOST_BLOCK + 1), RT_BAD_ARGUMENT);
    CHECK_EQUAL(rt_duplex_process(d, NULL, in, MOST_BLOCK + 1), RT_BAD_ARGUMENT);
    free(d);
}

/* Centre of the energy, in samples: where an impulse that went through a symmetric filter stands. */
static double centre(const double *x, uint32_t count)
{
    double sum = 0.0, moment = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        sum += x[i] * x[i];
        moment += x[i] * x[i] * i;
    }
    CHECK(sum > 0.0);
    return moment / sum;
}

static void capture_latency_is_what_it_says(uint32_t rate_hz, uint32_t block, int format)
{
    rt_duplex_config config = usual();
    config.capture_rate_hz = rate_hz;
    config.send_format = format;
    config.interrupt.policy = RT_POLICY_NEVER;
    rt_duplex *d = make(&config);
    static float in[MOST_BLOCK];
    static double heard[24000];
    uint32_t total = 0, hop = rate_hz / 100, waiting = 0, at = rate_hz / 10;
    for (uint32_t first = 0; first < rate_hz / 4; first += block) {
        for (uint32_t i = 0; i < block; i++) /* a smooth bump, within the band of all rates */
            in[i] = (float)(0.5 * exp(-0.5 * pow(((double)(first + i) - at) / (rate_hz / 2000.0), 2.0)));
        CHECK_EQUAL(rt_capture_process(d, in, block), RT_OK);
        rt_record record;
        while (rt_duplex_read_records(d, &record, 1)) {
            uint32_t n = format == RT_PCM16 ? 240 : 80;
            for (uint32_t i = 0; i < n; i++) {
                int16_t value = ((int16_t *)(void *)record.payload)[i % 240];
                if (format == RT_ULAW)
                    rt_ulaw_decode(&record.payload[i], &value, 1);
                heard[total++] = value / 32768.0;
            }
        }
        int64_t left = (int64_t)(first + block) - (int64_t)((uint64_t)total * rate_hz / (format == RT_PCM16 ? 24000 : 8000));
        waiting = left > (int64_t)waiting ? (uint32_t)left : waiting; /* captured, and not yet out */
    }
    double filters = centre(heard, total) * rate_hz / (format == RT_PCM16 ? 24000.0 : 8000.0) - at;
    uint32_t a = hop, b = block;
    while (b) {
        uint32_t rest = a % b;
        a = b, b = rest;
    }
    CHECK_NEAR(waiting, hop - a, rate_hz % RT_RATE && RT_RATE % rate_hz ? 1 : 0); /* a hop may fall between two frames */
    CHECK_NEAR(filters + waiting, rt_capture_latency(d, block), rate_hz / 24000.0);
    free(d);
}

static void playback_latency_is_what_it_says(uint32_t rate_hz, uint32_t block, int format)
{
    rt_duplex_config config = usual();
    config.playback_rate_hz = rate_hz;
    config.playout.format = format;
    rt_duplex *d = make(&config);
    uint32_t source_hz = format == RT_PCM16 ? 24000 : 8000, count = source_hz / 5, hop = rate_hz / 100, at = source_hz / 10;
    int16_t bump[4800];
    uint8_t codes[4800];
    static float out[MOST_BLOCK];
    static double heard[60000];
    for (uint32_t i = 0; i < count; i++)
        bump[i] = (int16_t)lrint(16000.0 * exp(-0.5 * pow(((double)i - at) / (source_hz / 2000.0), 2.0)));
    rt_ulaw_encode(bump, codes, count);
    rt_playout_open(rt_duplex_playout(d), 1);
    rt_playout_push(rt_duplex_playout(d), 1, 1, format == RT_PCM16 ? (void *)bump : (void *)codes, count);
    rt_playout_complete(rt_duplex_playout(d), 1);
    uint32_t total = 0, ahead = 0;
    while (total < rate_hz / 4) {
        CHECK_EQUAL(rt_playback_process(d, out, block), RT_OK);
        for (uint32_t i = 0; i < block; i++)
            heard[total++] = out[i];
        rt_playback_stats stats;
        rt_playback_read_stats(d, &stats);
        uint32_t made = (uint32_t)(stats.playout.output * rate_hz / RT_RATE) - total; /* taken from the queue, not yet played */
        ahead = made > ahead ? made : ahead;
    }
    double filters = centre(heard, total) - (double)at * rate_hz / source_hz;
    CHECK_NEAR(filters + ahead, rt_playback_latency(d, block), rate_hz / 24000.0 + 0.5);
    uint32_t a = hop, b = block;
    while (b) {
        uint32_t rest = a % b;
        a = b, b = rest;
    }
    CHECK_EQUAL(ahead, hop - a);
    free(d);
}

int main(void)
{
    unsigned long long seed = 31415;
    printf("seed %llu\n", seed);
    fflush(stdout);
    static const uint32_t rates[] = {8000, 16000, 24000, 44100, 48000, 96000};
    for (uint32_t r = 0; r < 6; r++)
        for (uint32_t channels = 1; channels <= 2; channels++)
            for (int sample = RT_INT16; sample <= RT_FLOAT32; sample++)
                compare_streams(rates[r], channels + (r == 2 && channels == 2), sample, seed + r * 17 + channels * 5 + (unsigned)sample);
    what_goes_in_comes_out();
    capture_may_be_null_and_wild();
    for (uint32_t r = 0; r < 6; r++)
        for (int format = RT_PCM16; format <= RT_ULAW; format++) {
            capture_latency_is_what_it_says(rates[r], rates[r] / 100, format);
            capture_latency_is_what_it_says(rates[r], 128, format);
            playback_latency_is_what_it_says(rates[r], rates[r] / 100, format);
            playback_latency_is_what_it_says(rates[r], 96, format);
        }
    return CHECK_DONE();
}
