/* The ring against two counters: the bytes of element n depend on n alone, so what is read is what was written. */
#include "fuzz.h"
#include "ring.h"

typedef struct model {
    rt_ring *ring;
    uint32_t element_bytes, capacity;
    uint64_t written, taken;
} model;

static void fill(const model *m, uint64_t number, uint8_t *elements, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < m->element_bytes; k++)
            elements[i * m->element_bytes + k] = (uint8_t)scramble((number + i) * 64 + k);
}

static void write_some(model *m, uint32_t count)
{
    uint8_t *elements = rough_memory((size_t)count * m->element_bytes);
    uint32_t room = m->capacity - (uint32_t)(m->written - m->taken);
    fill(m, m->written, elements, count);
    uint32_t moved = rt_ring_write(m->ring, elements, count);
    EXPECT(moved == (count < room ? count : room));
    m->written += moved;
    free(elements);
}

static void reserve_some(model *m, uint32_t wanted, uint32_t commit)
{
    uint32_t room = m->capacity - (uint32_t)(m->written - m->taken), count = wanted;
    uint8_t *elements = rt_ring_reserve(m->ring, &count);
    EXPECT(count <= wanted && count <= room && (count > 0 || wanted == 0 || room == 0));
    commit = commit < count ? commit : count;
    fill(m, m->written, elements, commit);
    rt_ring_commit(m->ring, commit);
    m->written += commit;
}

static void read_some(model *m, uint32_t count)
{
    uint8_t *elements = rough_memory((size_t)count * m->element_bytes);
    uint8_t *wanted = rough_memory((size_t)count * m->element_bytes);
    uint32_t waiting = (uint32_t)(m->written - m->taken), moved = rt_ring_read(m->ring, elements, count);
    EXPECT(moved == (count < waiting ? count : waiting));
    fill(m, m->taken, wanted, moved);
    EXPECT(memcmp(elements, wanted, (size_t)moved * m->element_bytes) == 0);
    EXPECT(untouched(elements + (size_t)moved * m->element_bytes, (size_t)(count - moved) * m->element_bytes));
    m->taken += moved;
    free(elements);
    free(wanted);
}

static void refuses(uint32_t element_bytes, uint32_t capacity)
{
    rt_ring *ring = rough_memory(sizeof *ring);
    EXPECT(element_bytes == 0 || capacity == 0 || (uint64_t)element_bytes * capacity > 1u << 28);
    EXPECT(rt_ring_init(ring, element_bytes, capacity) == RT_BAD_ARGUMENT && untouched(ring, sizeof *ring));
    free(ring);
}

static void run(model *m, input *in)
{
    while (in->left > 0) {
        uint32_t op = next_byte(in), count = next_in(in, 0, 2 * m->capacity);
        if (op % 8 < 3)
            write_some(m, count);
        else if (op % 8 < 6)
            read_some(m, count);
        else if (op % 8 == 6)
            reserve_some(m, count, next_byte(in));
        else if (op > 0xF0)
            rt_ring_reset(m->ring), m->taken = m->written;
        EXPECT(rt_ring_readable(m->ring) == (uint32_t)(m->written - m->taken));
        EXPECT(rt_ring_writable(m->ring) == m->capacity - (uint32_t)(m->written - m->taken));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    input in = {bytes, count};
    int small = next_byte(&in) % 8 != 0;
    uint32_t element_bytes = small ? next_in(&in, 0, 40) : next_word(&in);
    uint32_t capacity = small ? next_in(&in, 0, 300) : next_word(&in);
    size_t size = rt_ring_size(element_bytes, capacity);
    if (size == 0) {
        refuses(element_bytes, capacity);
        return 0;
    }
    if (size > 1 << 20)
        return 0;
    model m = {rough_memory(size), element_bytes, 0, 0, 0};
    EXPECT(rt_ring_init(m.ring, element_bytes, capacity) == RT_OK);
    m.capacity = rt_ring_capacity(m.ring);
    EXPECT(m.capacity >= capacity && (m.capacity & (m.capacity - 1)) == 0);
    EXPECT(rt_ring_element_bytes(m.ring) == element_bytes);
    /* from just before the indices wrap, which would take hours otherwise */
    uint32_t start = (uint32_t)-(int32_t)next_half(&in);
    atomic_store(&m.ring->written, start);
    atomic_store(&m.ring->taken, start);
    run(&m, &in);
    free(m.ring);
    return 0;
}
