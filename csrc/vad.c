#include "vad.h"

#include "ftz.h"

#include <math.h>
#include <string.h>

#define START_FLOOR 3.1623e-6f /* -55 dBFS */
#define LEAST_FLOOR 3.1623e-7f /* -65 dBFS: below it every microphone and coder is quiet */
#define SILENT_PEAK 3.2e-5f    /* about one step of 16 bits */
#define SILENT_HOPS 3u
#define FLAT_DB 1.0f /* above the floor: steady noise swings so much */
#define PLAIN_DB 5.0f
#define RAISED_DB 15.0f
#define DOUBLE_DB 25.0f

size_t rt_vad_size(void) { return RT_ALIGN64(sizeof(rt_vad)); }

int rt_vad_init(rt_vad *vad)
{
    memset(vad, 0, sizeof *vad);
    rt_vad_features_init(&vad->features);
    rt_vad_net_init(&vad->net);
    rt_vad_reset(vad);
    return RT_OK;
}

void rt_vad_reset(rt_vad *vad)
{
    rt_vad_features_reset(&vad->features);
    rt_vad_net_reset(&vad->net);
    memset(vad->energy, 0, sizeof vad->energy);
    for (int i = 0; i < RT_VAD_BLOCKS; i++)
        vad->least[i] = START_FLOOR;
    vad->least_now = START_FLOOR;
    vad->block = vad->hops_in_block = 0;
    vad->silent_hops = SILENT_HOPS;
    vad->bridged = 0.0f;
    vad->level_db = -100.0f;
    vad->floor_db = -55.0f;
}

static void follow_floor(rt_vad *vad, float energy)
{
    vad->energy[2] = vad->energy[1];
    vad->energy[1] = vad->energy[0];
    vad->energy[0] = energy;
    vad->level_db = 10.0f * log10f(energy + 1e-10f);
    float smooth = (vad->energy[0] + vad->energy[1] + vad->energy[2]) / 3.0f;
    if (smooth < vad->least_now)
        vad->least_now = smooth;
    float least = vad->least_now;
    for (int i = 0; i < RT_VAD_BLOCKS; i++)
        least = vad->least[i] < least ? vad->least[i] : least;
    least = least > LEAST_FLOOR ? least : LEAST_FLOOR;
    vad->floor_db = 10.0f * log10f(least);
    if (++vad->hops_in_block < RT_VAD_BLOCK_HOPS)
        return;
    vad->least[vad->block] = vad->least_now;
    vad->block = (vad->block + 1) % RT_VAD_BLOCKS;
    vad->least_now = smooth;
    vad->hops_in_block = 0;
}

static void follow_silence(rt_vad *vad, const float *hop)
{
    int loud = 0;
    for (int i = 0; i < RT_HOP; i++)
        loud |= hop[i] > SILENT_PEAK || hop[i] < -SILENT_PEAK;
    if (loud)
        vad->silent_hops = 0;
    else if (vad->silent_hops < SILENT_HOPS)
        vad->silent_hops++;
}

static float probability(float logit) { return 1.0f / (1.0f + expf(-logit)); }

float rt_vad_process(rt_vad *vad, const float *hop) RT_NONBLOCKING
{
    float features[RT_VAD_FEATURES], logits[2];
    uint64_t mode = rt_ftz_begin(); /* the states decay in silence */
    follow_floor(vad, rt_vad_features_process(&vad->features, hop, features));
    rt_vad_net_process(&vad->net, features, logits);
    follow_silence(vad, hop);
    int silent = vad->silent_hops >= SILENT_HOPS;
    vad->bridged = silent ? 0.0f : probability(logits[1]);
    float exact = silent ? 0.0f : probability(logits[0]);
    rt_ftz_end(mode);
    return exact;
}

void rt_vad_many(rt_vad *vad, const float *sound, uint32_t hops, float *exact, float *bridged)
{
    for (uint32_t i = 0; i < hops; i++) {
        exact[i] = rt_vad_process(vad, sound + (size_t)i * RT_HOP);
        bridged[i] = vad->bridged;
    }
}

float rt_vad_bridged(const rt_vad *vad) { return vad->bridged; }

float rt_vad_level_db(const rt_vad *vad) { return vad->level_db; }

uint32_t rt_vad_latency(const rt_vad *vad)
{
    (void)vad;
    return 2 * RT_HOP;
}

float rt_vad_floor_db(const rt_vad *vad) { return vad->floor_db; }

static float between(float from, float to, float db)
{
    float share = (db - from) / (to - from);
    return share > 0.0f ? share < 1.0f ? share : 1.0f : 0.0f;
}

float rt_vad_foreground(const rt_vad *vad, float probability) RT_NONBLOCKING
{
    float above = vad->level_db - vad->floor_db;
    float weighed = probability * between(FLAT_DB, PLAIN_DB, above) * (1.0f + between(RAISED_DB, DOUBLE_DB, above));
    return weighed < 1.0f ? weighed : 1.0f;
}
