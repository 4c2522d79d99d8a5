#include "stages.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979f

RT_BOARD_FITS(rt_stage[RT_STAGE_SLOTS]);

static const rt_stage NOTHING;

size_t rt_stages_size(void) { return RT_ALIGN64(sizeof(rt_stages)); }

int rt_stages_init(rt_stages *s)
{
    memset(s, 0, sizeof *s);
    s->self = s;
    for (int i = 0; i < RT_HOP; i++)
        s->fade[i] = 0.5f - 0.5f * cosf(PI * ((float)i + 0.5f) / RT_HOP);
    return RT_OK;
}

void rt_stages_reset(rt_stages *s) { rt_stages_init(s); }

/* The same code on the same memory: it must run once per hop, wherever it stands. */
static int is_same(const rt_stage *a, const rt_stage *b) { return a->function == b->function && a->state == b->state; }

static int is_valid(const rt_stage *list, uint32_t count)
{
    if (count > RT_STAGE_SLOTS)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].latency > RT_STAGE_LATENCY || list[i].bypass > 1)
            return 0;
        for (uint32_t k = 0; k < i && list[i].function != NULL; k++)
            if (list[i].state != NULL && is_same(&list[i], &list[k]))
                return 0;
    }
    return 1;
}

int rt_stages_set(rt_stages *s, const rt_stage *list, uint32_t count)
{
    if (!is_valid(list, count))
        return RT_BAD_ARGUMENT;
    rt_stage slots[RT_STAGE_SLOTS] = {{0}};
    s->latency = 0;
    for (uint32_t i = 0; i < count; i++) {
        slots[i] = list[i];
        s->latency += list[i].function == NULL || list[i].bypass ? 0 : list[i].latency;
    }
    rt_board_publish(&s->mailbox, slots, sizeof slots);
    return RT_OK;
}

uint32_t rt_stages_posted(const rt_stages *s) { return atomic_load_explicit(&s->mailbox.sequence, memory_order_relaxed) / 2; }

uint32_t rt_stages_passed(const rt_stages *s) { return atomic_load_explicit(&s->passed, memory_order_acquire); }

uint32_t rt_stages_broken(const rt_stages *s) { return atomic_load_explicit(&s->broken, memory_order_acquire); }

uint32_t rt_stages_latency(const rt_stages *s) { return s->latency; }

/* The newest list, if it is new and whole. One try: a hop that is overtaken by the writer looks again at the next boundary. */
static void take(rt_stages *s)
{
    uint32_t sequence = atomic_load_explicit(&s->mailbox.sequence, memory_order_acquire);
    if (sequence == s->taken || sequence & 1)
        return;
    rt_stage list[RT_STAGE_SLOTS];
    for (size_t i = 0; i < sizeof list / 8; i++) {
        uint64_t word = atomic_load_explicit(&s->mailbox.words[i], memory_order_acquire);
        memcpy((unsigned char *)list + 8 * i, &word, 8);
    }
    if (atomic_load_explicit(&s->mailbox.sequence, memory_order_relaxed) != sequence)
        return;
    memcpy(s->wanted, list, sizeof list);
    s->taken = sequence;
    s->busy = 1;
}

/* What slot `at` becomes in this hop: what is wanted there, unless that still runs in another slot. */
static rt_stage next_of(const rt_stages *s, int at)
{
    const rt_stage *wanted = &s->wanted[at];
    for (int i = 0; i < RT_STAGE_SLOTS && wanted->state != NULL; i++)
        if (i != at && is_same(wanted, &s->running[i]))
            return NOTHING;
    return *wanted;
}

/* Runs one stage over a copy of the hop, and says which sound the chain goes on with. */
static const float *output_of(const rt_stage *stage, const float *hop, float *copy)
{
    if (stage->function == NULL)
        return hop;
    memcpy(copy, hop, RT_HOP * sizeof *copy);
    stage->function(stage->state, copy, RT_HOP);
    return stage->bypass ? hop : copy;
}

static void change_slot(rt_stages *s, const rt_stage *from, const rt_stage *to, float *hop)
{
    const float *was, *will;
    if (is_same(from, to)) { /* bypassed, or back from it */
        will = output_of(to, hop, s->will);
        was = from->bypass ? hop : s->will;
    } else {
        was = output_of(from, hop, s->was);
        will = output_of(to, hop, s->will);
    }
    for (int i = 0; i < RT_HOP; i++)
        hop[i] = was[i] + s->fade[i] * (will[i] - was[i]);
}

static void run_slot(rt_stages *s, const rt_stage *from, const rt_stage *to, float *hop)
{
    if (!is_same(from, to) || (to->function != NULL && from->bypass != to->bypass))
        change_slot(s, from, to, hop);
    else if (to->function != NULL && to->bypass)
        output_of(to, hop, s->will);
    else if (to->function != NULL)
        to->function(to->state, hop, RT_HOP);
}

/* Whatever a stage made of the hop, what follows gets numbers of a sane size. */
static void hold_in_range(rt_stages *s, float *hop)
{
    int broken = 0;
    for (int i = 0; i < RT_HOP; i++) {
        float x = hop[i], held = x > RT_STAGE_PEAK ? RT_STAGE_PEAK : x < -RT_STAGE_PEAK ? -RT_STAGE_PEAK : x == x ? x : 0.0f;
        broken |= !(held == x);
        hop[i] = held;
    }
    if (broken)
        atomic_store_explicit(&s->broken, atomic_load_explicit(&s->broken, memory_order_relaxed) + 1, memory_order_release);
}

/* Remembers what runs now; publishes the list's number when nothing older is left. */
static void finish(rt_stages *s, const rt_stage *now)
{
    int filled = 0, whole = 1;
    for (int i = 0; i < RT_STAGE_SLOTS; i++) {
        whole &= is_same(&now[i], &s->wanted[i]);
        filled |= now[i].function != NULL;
        s->running[i] = now[i];
    }
    s->busy = filled || !whole;
    if (whole)
        atomic_store_explicit(&s->passed, s->taken / 2, memory_order_release);
}

int rt_stages_process(rt_stages *s, float *hop) RT_NONBLOCKING
{
    if (s->self != s)
        return 0;
    take(s);
    if (!s->busy)
        return 0;
    rt_stage now[RT_STAGE_SLOTS];
    for (int i = 0; i < RT_STAGE_SLOTS; i++)
        now[i] = next_of(s, i);
    for (int i = 0; i < RT_STAGE_SLOTS; i++)
        run_slot(s, &s->running[i], &now[i], hop);
    hold_in_range(s, hop);
    finish(s, now);
    return 1;
}

void rt_stages_settle(rt_stages *s)
{
    take(s);
    rt_stage now[RT_STAGE_SLOTS];
    memcpy(now, s->wanted, sizeof now);
    finish(s, now);
}
