/* same.h - what every block makes of the same sound, written down, so that two builds of the core can be compared.
 *
 * A row runs one block over the demo's caller (or what depends on it) and keeps floats, which may differ between builds by the
 * row's tolerance (compilers for AArch64 join multiplications with additions, and libm differs in its last bit), and whole numbers,
 * which may not differ: codes, decisions, counts. To add a block, add a row.
 */
#ifndef SAME_H
#define SAME_H

#include "rt.h"

#include <stdlib.h>
#include <string.h>

typedef struct same_row {
    const char *name;
    double tolerance; /* of a float, absolute: sound is in [-1, 1], probabilities in [0, 1], levels in dB */
    void (*run)(void);
} same_row;

extern const same_row same_blocks[], same_ears[], same_chains[]; /* each ends with a row without a name */

enum { VOICE_HOPS = 1400 };
extern float voice[VOICE_HOPS * RT_HOP];    /* at full scale 1; taken as sound at any rate */
extern int16_t voice16[VOICE_HOPS * RT_HOP]; /* the same */

/* Of the row under way. */
void keep(const float *values, uint32_t count);
void keep_one(double value);
void keep_number(int64_t number);
void keep_codes(const uint8_t *codes, uint32_t count);
void keep_samples(const int16_t *samples, uint32_t count);

/* A block's memory, 64-byte aligned and zeroed, until the row ends; up to 4 of them. */
void *make(size_t bytes);

/* In [-1, 1), the same on every machine. */
float noise(uint64_t *state);

#endif
