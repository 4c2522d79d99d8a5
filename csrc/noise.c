#include "noise.h"

/* Marsaglia's xorshift; from zeroed memory too. */
static float white(rt_noise *noise)
{
    uint32_t x = noise->state != 0 ? noise->state : 1;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    noise->state = x;
    return (float)(int32_t)x * (1.0f / 2147483648.0f);
}

void rt_noise_add(rt_noise *noise, float *hop, float gain) RT_NONBLOCKING
{
    float from = noise->gain;
    if (from == 0.0f && gain == 0.0f)
        return;
    for (uint32_t i = 0; i < RT_HOP; i++) {
        float now = white(noise); /* its power is a third */
        hop[i] += (now + noise->last[0] + noise->last[1]) * (from + (gain - from) * (float)(i + 1) / RT_HOP);
        noise->last[1] = noise->last[0];
        noise->last[0] = now;
    }
    noise->gain = gain;
}
