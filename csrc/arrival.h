/* arrival.h - how a burst sender's responses arrive, and how long the next one had better wait before it sounds.
 *
 * Each delta is noted with the time of its arrival, in samples at RT_RATE on the playback's own clock. Of each response two figures are
 * kept: the rate (sound after the first delta / time from the first to the last) and the needed wait (the most by which any delta came
 * later than all sound before it, played from the first arrival on, would have lasted). A response of one delta tells nothing.
 *
 * A response starts on its first delta, unless the median rate of the last five is below 1.2; then it waits for the 0.8 quantile of
 * their needed waits (between two neighbours, interpolated), 400 ms at most: so long, or for so much sound beyond the first delta. After
 * an underrun as much has to be at hand, at any rate.
 *
 * A part of another block: a flat struct inside the owner's, zeroed memory is as after reset. One thread. Work: sorting five numbers.
 */
#ifndef RT_ARRIVAL_H
#define RT_ARRIVAL_H

#include "rt.h"

enum { RT_ARRIVAL_RESPONSES = 5, RT_ARRIVAL_MOST = RT_RATE * 2 / 5 };

typedef struct rt_arrival {
    uint32_t response;     /* the newest noted, 0: none yet */
    uint64_t first, last;  /* arrivals */
    uint64_t sound;        /* of all its deltas so far, in samples at RT_RATE */
    uint64_t first_sound;  /* of its first */
    int64_t needed;
    uint32_t count;        /* responses kept */
    float rates[RT_ARRIVAL_RESPONSES];
    float waits[RT_ARRIVAL_RESPONSES]; /* samples at RT_RATE */
} rt_arrival;

void rt_arrival_reset(rt_arrival *arrival);
/* `samples` of a response (numbers rise; older ones are passed over) arrived at `now`. */
void rt_arrival_note(rt_arrival *arrival, uint32_t response, uint32_t samples, uint64_t now);
/* Samples at RT_RATE to wait for, by the responses before the newest: after the first delta, of time or of sound; after an underrun, of
 * sound. */
uint32_t rt_arrival_start(const rt_arrival *arrival);
uint32_t rt_arrival_refill(const rt_arrival *arrival);
#endif
