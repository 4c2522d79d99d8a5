/* workload.h - what bench/instructions.py counts: the same sound, hop by hop, through one block or through the halves.
 *
 * A workload is a row of a table: `begin` makes the block, `before` and `after` do in each hop what is not counted (the
 * loop thread's part), `hop` is what is counted. Every workload runs 2 s and then runs on for as many hops as are
 * counted. To add one, add a row. No clock, no input: the counts depend on the code and on the compiler alone.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include "rt.h"

#include <stdlib.h>
#include <string.h>

enum { CYCLE = 200, MOST_FRAMES = 960 }; /* hops in 2 s; frames of a hop at 96 kHz */

typedef struct workload {
    const char *name;
    void (*begin)(const void *option);
    const void *option;
    void (*hop)(uint32_t hop);
    void (*before)(uint32_t hop); /* NULL: nothing */
    void (*after)(uint32_t hop);
} workload;

extern const workload block_workloads[], half_workloads[]; /* each ends with a row without a name */

/* Memory of a block, 64-byte aligned and zeroed, until the workload ends; one workload has one. */
void *memory(size_t bytes);

/* Hop `hop` of a synthetic voice at `rate` (120 Hz pulses through two formants, four syllables a second), of 2 s. */
const float *voice_hop(uint32_t rate, uint32_t hop);
/* The same as int16. */
const int16_t *voice_hop_int16(uint32_t rate, uint32_t hop);

#endif
