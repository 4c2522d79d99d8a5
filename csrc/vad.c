#include "vad.h"

#include "ftz.h"

#include <math.h>
#include <string.h>

#define START_FLOOR 3.1623e-6f  /* -55 dBFS */
#define LEAST_FLOOR 3.1623e-7f  /* -65 dBFS: below it every microphone and coder is quiet */
#define LEAST_LEVEL_DB (-60.0f)
#define BALANCED_DB 9.0f        /* above the floor: probability 0.5 */
#define SLOPE_PER_DB 0.68f      /* +5 dB: 0.06, +13 dB: 0.94 */

size_t rt_vad_size(void) { return RT_ALIGN64(sizeof(rt_vad)); }

int rt_vad_init(rt_vad *vad)
{
    memset(vad, 0, sizeof *vad);
    rt_biquad_design(&vad->high_pass, 200.0, 1);
    rt_biquad_design(&vad->low_pass, 3800.0, 0);
    rt_vad_reset(vad);
    return RT_OK;
}

void rt_vad_reset(rt_vad *vad)
{
    vad->high_pass.z1 = vad->high_pass.z2 = vad->low_pass.z1 = vad->low_pass.z2 = 0.0f;
    memset(vad->energy, 0, sizeof vad->energy);
    for (int i = 0; i < RT_VAD_BLOCKS; i++)
        vad->least[i] = START_FLOOR;
    vad->least_now = START_FLOOR;
    vad->block = vad->hops_in_block = 0;
    vad->floor_db = -55.0f;
}

static float band_energy(rt_vad *vad, const float *hop)
{
    float sum = 0.0f;
    for (int i = 0; i < RT_HOP; i++) {
        float y = rt_biquad_step(&vad->low_pass, rt_biquad_step(&vad->high_pass, rt_biquad_tame(hop[i])));
        sum += y * y;
    }
    return sum / RT_HOP;
}

static void follow_floor(rt_vad *vad)
{
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

static float probability(rt_vad *vad, const float *hop)
{
    vad->energy[2] = vad->energy[1];
    vad->energy[1] = vad->energy[0];
    vad->energy[0] = band_energy(vad, hop);
    float level_db = 10.0f * log10f(0.5f * (vad->energy[0] + vad->energy[1]) + 1e-10f);
    /* compared with the floor before this hop: a soft beginning must not pull its own measure up */
    float above = level_db - vad->floor_db;
    follow_floor(vad);
    if (level_db < LEAST_LEVEL_DB)
        return 0.0f;
    return 1.0f / (1.0f + expf(-SLOPE_PER_DB * (above - BALANCED_DB)));
}

float rt_vad_process(rt_vad *vad, const float *hop) RT_NONBLOCKING
{
    uint64_t mode = rt_ftz_begin(); /* in silence the filters ring on down to the subnormals */
    float result = probability(vad, hop);
    rt_ftz_end(mode);
    return result;
}

uint32_t rt_vad_latency(const rt_vad *vad)
{
    (void)vad;
    return 2 * RT_HOP;
}

float rt_vad_floor_db(const rt_vad *vad) { return vad->floor_db; }
