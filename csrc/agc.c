#include "agc.h"
#include "ftz.h"

#include <math.h>

#define SPEECH 0.5f
#define WHISPER 1e-7f     /* mean square, -70 dBFS */
#define RISES 0.06f       /* dB per hop */
#define FALLS 0.3f
#define LOUDER 0.12f      /* share of a hop in the level: about 80 ms */
#define SOFTER 0.025f     /* about 400 ms */
#define BACK 0.25f        /* share of the way to the room's gain, per hop */
#define FORTH 0.9f        /* of that to the voice's */
#define HANGS 15          /* hops after speech that still count as it: the end of a word */
#define DB 0.115129255f   /* in nepers */

size_t rt_agc_size(void) { return RT_ALIGN64(sizeof(rt_agc)); }

int rt_agc_init(rt_agc *a, float target_dbfs, float most_db)
{
    if (!(target_dbfs >= -40.0f && target_dbfs <= -6.0f) || !(most_db >= 0.0f && most_db <= 40.0f))
        return RT_BAD_ARGUMENT;
    a->target_db = target_dbfs;
    a->most_db = most_db;
    rt_volume_init(&a->limiter, 10);
    rt_agc_reset(a);
    return RT_OK;
}

void rt_agc_reset(rt_agc *a)
{
    a->level = 0.0f;
    a->voice_db = 0.0f;
    a->gain_db = 0.0f;
    a->gain = 1.0f;
    a->quiet = HANGS;
    rt_volume_reset(&a->limiter);
}

static float mean_square(float *hop)
{
    float sum = 0.0f;
    for (int i = 0; i < RT_HOP; i++) {
        hop[i] = hop[i] == hop[i] ? hop[i] : 0.0f;
        float x = hop[i] > 1.0f ? 1.0f : hop[i] < -1.0f ? -1.0f : hop[i];
        sum += x * x;
    }
    return sum / RT_HOP;
}

/* Where the voice's gain goes, after a hop of speech with this mean square. */
static void follow_voice(rt_agc *a, float square)
{
    a->level = a->level > 0.0f ? a->level + (square > a->level ? LOUDER : SOFTER) * (square - a->level) : square;
    float wanted = a->target_db - 10.0f * log10f(a->level), step = wanted - a->voice_db;
    a->voice_db += step > RISES ? RISES : step < -FALLS ? -FALLS : step;
    a->voice_db = a->voice_db > a->most_db ? a->most_db : a->voice_db < -a->most_db ? -a->most_db : a->voice_db;
}

void rt_agc_process(rt_agc *a, float *hop, float probability) RT_NONBLOCKING
{
    uint64_t mode = rt_ftz_begin();
    float square = mean_square(hop);
    int speech = probability >= SPEECH;
    a->quiet = speech ? 0 : a->quiet < HANGS ? a->quiet + 1 : HANGS;
    if (speech && square > WHISPER)
        follow_voice(a, square);
    float room_db = a->voice_db < RT_AGC_ROOM_DB ? a->voice_db : RT_AGC_ROOM_DB;
    int voice = a->quiet < HANGS;
    float wanted = voice ? a->voice_db : room_db, from = a->gain;
    a->gain_db += (wanted > a->gain_db ? FORTH : BACK) * (wanted - a->gain_db);
    a->gain_db = fabsf(a->gain_db) > 1e-6f ? a->gain_db : 0.0f;
    a->gain = expf(a->gain_db * DB);
    float step = (a->gain - from) / RT_HOP;
    for (int i = 0; i < RT_HOP; i++) {
        from += step;
        hop[i] *= from;
    }
    rt_volume_process(&a->limiter, hop, 1.0f);
    rt_ftz_end(mode);
}

float rt_agc_gain_db(const rt_agc *a) RT_NONBLOCKING { return a->gain_db; }

uint32_t rt_agc_latency(const rt_agc *a)
{
    (void)a;
    return 0;
}
