#include "packets.h"

#include <string.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most_of(int64_t a, int64_t b) { return a > b ? a : b; }

static rt_packet *nth(const rt_packets *p, uint32_t n)
{
    return (rt_packet *)(uintptr_t)&p->packets[(p->first + n) % RT_PACKETS_MOST];
}

static int64_t end_of(const rt_packet *packet) { return packet->position + packet->frames; }

static unsigned char *data(const rt_packets *p) { return (unsigned char *)(uintptr_t)p + p->data_offset; }

static uint32_t place(const rt_packets *p, int64_t position)
{
    int64_t at = position % (int64_t)p->capacity;
    return (uint32_t)(at < 0 ? at + (int64_t)p->capacity : at);
}

size_t rt_packets_size(uint32_t capacity_frames, uint32_t frame_bytes)
{
    return RT_ALIGN64(sizeof(rt_packets)) + RT_ALIGN64((size_t)capacity_frames * frame_bytes);
}

int rt_packets_init(rt_packets *p, uint32_t capacity_frames, uint32_t frame_bytes)
{
    if (capacity_frames == 0 || frame_bytes < 1 || frame_bytes > 2)
        return RT_BAD_ARGUMENT;
    memset(p, 0, rt_packets_size(capacity_frames, frame_bytes));
    p->capacity = capacity_frames;
    p->frame_bytes = frame_bytes;
    p->data_offset = RT_ALIGN64(sizeof *p);
    return RT_OK;
}

/* ---- in ---- */

static void write_in(rt_packets *p, int64_t position, const unsigned char *from, uint32_t frames)
{
    uint32_t at = place(p, position), till_end = (uint32_t)least(frames, (int64_t)p->capacity - at);
    memcpy(data(p) + (size_t)at * p->frame_bytes, from, (size_t)till_end * p->frame_bytes);
    memcpy(data(p), from + (size_t)till_end * p->frame_bytes, (size_t)(frames - till_end) * p->frame_bytes);
}

/* How many packets begin at `position` or before. */
static uint32_t count_up_to(const rt_packets *p, int64_t position)
{
    uint32_t n = p->count;
    while (n > 0 && nth(p, n - 1)->position > position)
        n--;
    return n;
}

uint32_t rt_packets_insert(rt_packets *p, const rt_packet *packet, const void *bytes) RT_NONBLOCKING
{
    int64_t from = most_of(packet->position, p->playhead), till = least(end_of(packet), p->playhead + p->capacity);
    uint32_t n = count_up_to(p, from);
    while (n > 0 && from < end_of(nth(p, n - 1))) { /* behind those that are there already */
        from = end_of(nth(p, n - 1));
        if (n < p->count && nth(p, n)->position <= from)
            n++;
    }
    if (n < p->count)
        till = least(till, nth(p, n)->position);
    if (from >= till || p->count == RT_PACKETS_MOST)
        return 0;
    for (uint32_t i = p->count; i > n; i--)
        *nth(p, i) = *nth(p, i - 1);
    p->count++;
    rt_packet *kept = nth(p, n);
    *kept = *packet;
    kept->position = from;
    kept->frames = (uint32_t)(till - from);
    write_in(p, from, (const unsigned char *)bytes + (size_t)(from - packet->position) * p->frame_bytes, kept->frames);
    return kept->frames;
}

/* ---- out ---- */

void rt_packets_run_at(const rt_packets *p, rt_packets_run *run) RT_NONBLOCKING
{
    int64_t end = p->playhead;
    uint32_t n = 0;
    for (; n < p->count && nth(p, n)->position <= end; n++)
        end = end_of(nth(p, n));
    run->at_hand = end - p->playhead;
    run->hole = run->at_hand == 0 && p->count > 0 ? nth(p, 0)->position - p->playhead : 0;
}

const rt_packet *rt_packets_here(const rt_packets *p) RT_NONBLOCKING
{
    return p->count > 0 && nth(p, 0)->position <= p->playhead ? nth(p, 0) : NULL;
}

uint32_t rt_packets_peek(const rt_packets *p, uint32_t ahead, uint32_t most, void *bytes, rt_packet *of) RT_NONBLOCKING
{
    int64_t position = p->playhead + ahead;
    uint32_t n = 0;
    while (n < p->count && end_of(nth(p, n)) <= position)
        n++;
    if (n == p->count || nth(p, n)->position > position)
        return 0;
    *of = *nth(p, n);
    uint32_t frames = (uint32_t)least(most, end_of(of) - position), at = place(p, position);
    uint32_t till_end = (uint32_t)least(frames, (int64_t)p->capacity - at);
    memcpy(bytes, data(p) + (size_t)at * p->frame_bytes, (size_t)till_end * p->frame_bytes);
    memcpy((unsigned char *)bytes + (size_t)till_end * p->frame_bytes, data(p), (size_t)(frames - till_end) * p->frame_bytes);
    return frames;
}

int64_t rt_packets_pass(rt_packets *p, int64_t most, rt_packet *of) RT_NONBLOCKING
{
    rt_packet *here = p->count > 0 ? nth(p, 0) : NULL;
    *of = (rt_packet){.row = -1};
    if (here != NULL && here->position > p->playhead) {
        most = least(most, here->position - p->playhead);
    } else if (here != NULL) {
        *of = *here;
        most = least(most, end_of(here) - p->playhead);
        if (p->playhead + most == end_of(here)) {
            p->first = (p->first + 1) % RT_PACKETS_MOST;
            p->count--;
        }
    }
    p->playhead += most;
    return most;
}

int rt_packets_void(rt_packets *p, uint32_t generation, uint32_t *cursor, rt_packet *was) RT_NONBLOCKING
{
    for (; *cursor < p->count; ++*cursor) {
        rt_packet *packet = nth(p, *cursor);
        if (packet->is_void || packet->generation > generation)
            continue;
        *was = *packet;
        if (was->position < p->playhead) { /* what has been passed is not there any more */
            was->frames -= (uint32_t)(p->playhead - was->position);
            was->position = p->playhead;
        }
        packet->is_void = 1;
        packet->row = -1;
        return 1;
    }
    return 0;
}
