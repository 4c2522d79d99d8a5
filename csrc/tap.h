/* tap.h - what this side plays, as the echo reference: hop by hop beside what its microphone hears, where one callback has both.
 *
 * The playback half writes each hop that goes to the loudspeaker, the capture half reads one for each of its own, both on one thread and of one
 * clock (where there are two, reference.h does it). What is read was written `lead` samples or more before: so much that blocks of any size
 * up to the largest find it there, and the same pairs come out however the blocks are cut. The last RT_TAP_SAMPLES are kept.
 *
 * A hop that is not there (the microphone runs alone for a while) is silence, and what comes after it stands so much later beside the
 * microphone; what has piled up (the loudspeaker runs alone) is left out. Both are counted. rt_tap_move follows a gap of the device: from then on what
 * is read is so much older (it played silence in between, so all of it is heard later), or younger (it lost sound of the microphone), as
 * far as so much was played already.
 *
 * Mono float in [-1, 1] at RT_RATE. One flat struct (about 64 kB), memcpy copies it. Work: RT_HOP samples. Nothing can go wrong.
 */
#ifndef RT_TAP_H
#define RT_TAP_H

#include "rt.h"

enum { RT_TAP_SAMPLES = 16384 };

typedef struct rt_tap {
    uint32_t lead;
    int64_t taken;                 /* samples; below 0: silence of before the beginning */
    uint64_t written;
    int64_t shift;                 /* by which gaps have moved what is read: positive: older */
    int64_t least, least_before;   /* waiting at a read, of this second and the one before */
    uint32_t reads;                /* in this second */
    uint64_t starved, jumps;       /* hops that were not there; times that something was left out */
    float past[RT_TAP_SAMPLES];
} rt_tap;

size_t rt_tap_size(void);
/* lead: 0..RT_TAP_SAMPLES / 2. */
int rt_tap_init(rt_tap *tap, uint32_t lead);
void rt_tap_reset(rt_tap *tap);
/* RT_HOP samples each. */
void rt_tap_write(rt_tap *tap, const float *hop) RT_NONBLOCKING;
void rt_tap_read(rt_tap *tap, float *hop) RT_NONBLOCKING;
void rt_tap_move(rt_tap *tap, int64_t samples) RT_NONBLOCKING;
uint32_t rt_tap_latency(const rt_tap *tap); /* samples: the lead */

#endif
