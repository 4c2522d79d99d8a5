#include "ring.h"

#include <string.h>

#define MAX_BYTES (1u << 28)

static uint32_t power_of_two(uint32_t count)
{
    uint32_t power = 1;
    while (power < count)
        power <<= 1;
    return power;
}

size_t rt_ring_size(uint32_t element_bytes, uint32_t capacity)
{
    if (element_bytes == 0 || capacity == 0 || (uint64_t)element_bytes * capacity > MAX_BYTES)
        return 0;
    return RT_ALIGN64(sizeof(rt_ring) + (size_t)element_bytes * power_of_two(capacity));
}

int rt_ring_init(rt_ring *ring, uint32_t element_bytes, uint32_t capacity)
{
    if (rt_ring_size(element_bytes, capacity) == 0)
        return RT_BAD_ARGUMENT;
    ring->element_bytes = element_bytes;
    ring->mask = power_of_two(capacity) - 1;
    rt_ring_reset(ring);
    return RT_OK;
}

void rt_ring_reset(rt_ring *ring)
{
    atomic_store_explicit(&ring->written, 0, memory_order_release);
    atomic_store_explicit(&ring->taken, 0, memory_order_release);
}

uint32_t rt_ring_capacity(const rt_ring *ring) { return ring->mask + 1; }

uint32_t rt_ring_element_bytes(const rt_ring *ring) { return ring->element_bytes; }

/* Unsigned difference of free-running indices: right also after they wrap. */
static uint32_t waiting(uint32_t written, uint32_t taken) { return written - taken; }

static unsigned char *element(rt_ring *ring, uint32_t index) { return ring->data + (size_t)(index & ring->mask) * ring->element_bytes; }

static uint32_t until_wrap(const rt_ring *ring, uint32_t index) { return ring->mask + 1 - (index & ring->mask); }

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

uint32_t rt_ring_writable(const rt_ring *ring) RT_NONBLOCKING
{
    uint32_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    /* acquire: what the reader has copied out is really read before its place is overwritten */
    uint32_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    return ring->mask + 1 - waiting(written, taken);
}

void *rt_ring_reserve(rt_ring *ring, uint32_t *count) RT_NONBLOCKING
{
    uint32_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    *count = least(*count, least(rt_ring_writable(ring), until_wrap(ring, written)));
    return element(ring, written);
}

void rt_ring_commit(rt_ring *ring, uint32_t count) RT_NONBLOCKING
{
    uint32_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    /* release: the elements are in place before the reader can see that there are more */
    atomic_store_explicit(&ring->written, written + count, memory_order_release);
}

uint32_t rt_ring_write(rt_ring *ring, const void *elements, uint32_t count) RT_NONBLOCKING
{
    uint32_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    uint32_t moved = least(count, rt_ring_writable(ring));
    uint32_t first = least(moved, until_wrap(ring, written));
    memcpy(element(ring, written), elements, (size_t)first * ring->element_bytes);
    const unsigned char *rest = (const unsigned char *)elements + (size_t)first * ring->element_bytes;
    memcpy(ring->data, rest, (size_t)(moved - first) * ring->element_bytes);
    rt_ring_commit(ring, moved);
    return moved;
}

uint32_t rt_ring_readable(const rt_ring *ring) RT_NONBLOCKING
{
    uint32_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    /* acquire: pairs with the writer's release, so the elements counted here can be read */
    uint32_t written = atomic_load_explicit(&ring->written, memory_order_acquire);
    return waiting(written, taken);
}

uint32_t rt_ring_read(rt_ring *ring, void *elements, uint32_t count) RT_NONBLOCKING
{
    uint32_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    uint32_t moved = least(count, rt_ring_readable(ring));
    uint32_t first = least(moved, until_wrap(ring, taken));
    memcpy(elements, element(ring, taken), (size_t)first * ring->element_bytes);
    unsigned char *rest = (unsigned char *)elements + (size_t)first * ring->element_bytes;
    memcpy(rest, ring->data, (size_t)(moved - first) * ring->element_bytes);
    /* release: the copies are done before the writer may use the places again */
    atomic_store_explicit(&ring->taken, taken + moved, memory_order_release);
    return moved;
}
