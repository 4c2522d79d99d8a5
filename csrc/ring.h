/* ring.h - a wait-free queue of equal elements between two threads.
 *
 * One thread writes, one reads; neither ever waits. Elements are bytes of one size, fixed at init: samples, records, events. The
 * capacity is rounded up to a power of two; the indices run freely and wrap at 2^32, each has one writer and a cache line of its own.
 * A short count is a normal answer: the writer decides what to do when the ring is full, the reader when it is empty.
 * Any byte pattern is a legal element, so nothing else can go wrong. Work: one or two memcpy of what is moved.
 *
 * Writer's side: rt_ring_writable, rt_ring_write, rt_ring_reserve + rt_ring_commit. Reader's side: rt_ring_readable, rt_ring_read.
 * Both sides may ask for the capacity.
 */
#ifndef RT_RING_H
#define RT_RING_H

#include "rt.h"

/* cdef begin */
typedef struct rt_ring rt_ring;

/* Bytes of memory for at least `capacity` elements of `element_bytes`; 0 if either is 0, or above 2^28 bytes together. */
size_t rt_ring_size(uint32_t element_bytes, uint32_t capacity);
int rt_ring_init(rt_ring *ring, uint32_t element_bytes, uint32_t capacity);
/* Empties the ring. Only while neither side is in use. */
void rt_ring_reset(rt_ring *ring);
uint32_t rt_ring_capacity(const rt_ring *ring);
uint32_t rt_ring_element_bytes(const rt_ring *ring);

/* Writer. Free elements now (may grow at any time), and copy in up to `count`; returns how many were taken. */
uint32_t rt_ring_writable(const rt_ring *ring) RT_NONBLOCKING;
uint32_t rt_ring_write(rt_ring *ring, const void *elements, uint32_t count) RT_NONBLOCKING;
/* Writer, without a copy: room for up to `*count` elements in one piece (sets *count), made readable by commit. */
void *rt_ring_reserve(rt_ring *ring, uint32_t *count) RT_NONBLOCKING;
void rt_ring_commit(rt_ring *ring, uint32_t count) RT_NONBLOCKING;

/* Reader. Elements waiting now (may grow at any time), and copy out up to `count`; returns how many were given. */
uint32_t rt_ring_readable(const rt_ring *ring) RT_NONBLOCKING;
uint32_t rt_ring_read(rt_ring *ring, void *elements, uint32_t count) RT_NONBLOCKING;
/* cdef end */

#include <stdatomic.h>

struct rt_ring {
    uint32_t element_bytes;
    uint32_t mask; /* capacity - 1 */
    _Alignas(64) _Atomic uint32_t written; /* by the writer only */
    _Alignas(64) _Atomic uint32_t taken;   /* by the reader only */
    _Alignas(64) unsigned char data[];
};

#endif
