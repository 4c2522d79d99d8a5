/* packets.h - received packets in the order of their sound: a packet buffer with a playhead.
 *
 * Each packet is `frames` samples of 1 or 2 bytes at a position on the sender's clock (int64 samples; jitter.h says which). They may come
 * in any order. The playhead passes over them once; sound behind it is forgotten. What was there first stays: a packet that overlaps
 * others, or lies partly behind the playhead or beyond the capacity, is trimmed to the first part of it that is new, and the caller is
 * told how much was kept. Packets carry their owner (a ledger's row), their generation and time of arrival; those of dead generations
 * can be made void: their place in time stays, their sound is gone.
 *
 * Memory: rt_packets_size, brought by the caller, 64-byte aligned, without pointers: capacity_frames samples, RT_PACKETS_MOST packets.
 * One thread. Work: an insert moves the packets that lie behind it, at most RT_PACKETS_MOST, none when they come in order; a void
 * touches all; the others a constant number, or what they read. Nothing can go wrong after init.
 */
#ifndef RT_PACKETS_H
#define RT_PACKETS_H

#include "rt.h"

enum { RT_PACKETS_MOST = 1024 };

typedef struct rt_packet {
    int64_t position;
    int64_t arrival_us;
    uint32_t frames, generation;
    int32_t row;
    int32_t is_void;
} rt_packet;

typedef struct rt_packets {
    uint32_t capacity, frame_bytes; /* capacity in samples */
    uint32_t first, count;          /* of the circle of packets, oldest position first; no two overlap */
    int64_t playhead;
    size_t data_offset;
    rt_packet packets[RT_PACKETS_MOST];
} rt_packets;

/* A stretch from the playhead on: `frames` samples without a hole, or a hole of so many; none at all: nothing is there any more. */
typedef struct rt_packets_run {
    int64_t at_hand, hole;
} rt_packets_run;

size_t rt_packets_size(uint32_t capacity_frames, uint32_t frame_bytes);
/* RT_BAD_ARGUMENT for no capacity, or frames of other than 1 or 2 bytes. */
int rt_packets_init(rt_packets *packets, uint32_t capacity_frames, uint32_t frame_bytes);

/* Keeps what is new of `packet`, whose samples are `bytes`, and returns how many samples that is: 0 to packet->frames. */
uint32_t rt_packets_insert(rt_packets *packets, const rt_packet *packet, const void *bytes) RT_NONBLOCKING;
void rt_packets_run_at(const rt_packets *packets, rt_packets_run *run) RT_NONBLOCKING;
/* The packet under the playhead, NULL in a hole. */
const rt_packet *rt_packets_here(const rt_packets *packets) RT_NONBLOCKING;
/* Copies samples from `ahead` of the playhead on, at most to the end of their packet; *of is that packet. 0 at a hole. */
uint32_t rt_packets_peek(const rt_packets *packets, uint32_t ahead, uint32_t most, void *bytes, rt_packet *of) RT_NONBLOCKING;
/* Moves the playhead on by up to `most` samples: at most to the end of the packet under it (*of, as it was), or of the hole (of->row is
 * -1). Where nothing is there any more it moves by `most`. Returns by how many. */
int64_t rt_packets_pass(rt_packets *packets, int64_t most, rt_packet *of) RT_NONBLOCKING;
/* Makes the next packet of a generation up to `generation` void, and writes what it was; 0 when there is none. */
int rt_packets_void(rt_packets *packets, uint32_t generation, uint32_t *cursor, rt_packet *was) RT_NONBLOCKING;

#endif
