/* loud_vad.h - a detector that calls every loud hop speech, in place of vad.c: for tests of what follows from its decisions, hop by hop.
 *
 * A program that includes it has all of vad.h's functions itself, so the linker leaves the library's out. Speech is what has a mean square
 * above -46 dBFS over 20 ms: found in its first hop, over in the second hop after it.
 */
#ifndef LOUD_VAD_H
#define LOUD_VAD_H

#include "vad.h"

#include <string.h>

#define LOUD 2.5e-5f

size_t rt_vad_size(void) { return RT_ALIGN64(sizeof(rt_vad)); }

void rt_vad_reset(rt_vad *vad)
{
    memset(vad, 0, sizeof *vad);
    vad->floor_db = -65.0f;
}

int rt_vad_init(rt_vad *vad)
{
    rt_vad_reset(vad);
    return RT_OK;
}

float rt_vad_process(rt_vad *vad, const float *hop) RT_NONBLOCKING
{
    float sum = 0.0f;
    for (int i = 0; i < RT_HOP; i++)
        sum += hop[i] * hop[i];
    vad->energy[1] = vad->energy[0];
    vad->energy[0] = sum / RT_HOP;
    vad->bridged = 0.5f * (vad->energy[0] + vad->energy[1]) > LOUD ? 1.0f : 0.0f;
    return vad->bridged;
}

void rt_vad_many(rt_vad *vad, const float *sound, uint32_t hops, float *exact, float *bridged)
{
    for (uint32_t i = 0; i < hops; i++)
        exact[i] = bridged[i] = rt_vad_process(vad, sound + (size_t)i * RT_HOP);
}

float rt_vad_bridged(const rt_vad *vad) { return vad->bridged; }
float rt_vad_foreground(const rt_vad *vad, float probability) RT_NONBLOCKING { return (void)vad, probability; }
float rt_vad_level_db(const rt_vad *vad) { return vad->level_db; }
float rt_vad_floor_db(const rt_vad *vad) { return vad->floor_db; }
uint32_t rt_vad_latency(const rt_vad *vad) { return (void)vad, 2 * RT_HOP; }

#endif
