/* ledger.h - the loop thread's side of a playout under fuzzing, with a ledger of its own to hold the block's to.
 *
 * Each operation is drawn from the input; its answer is predicted from what playout.h says. After every process()
 * ledger_check() compares the rows and the totals: nothing pushed is lost or counted twice, counts never fall, and
 * nothing of a generation that was latched before the call is counted as played in it.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "fuzz.h"
#include "playout.h"

enum { LEDGER_ITEMS = 80 };

typedef struct ledger {
    rt_playout *playout;
    int format;
    uint32_t capacity, opened, latched; /* latched by the loop thread */
    uint64_t pushed, retired_played, retired_faded, retired_discarded;
    int live;
    uint32_t pushes;
    rt_playout_item items[LEDGER_ITEMS]; /* by number; item 0: not live */
} ledger;

static inline ledger ledger_of(rt_playout *playout, const rt_playout_config *config)
{
    ledger l = {.playout = playout, .format = config->format, .capacity = config->capacity_frames};
    return l;
}

/* Source sample number n, so that it can be known again when it sounds. */
static inline int16_t pcm_at(uint64_t n) { return (int16_t)(uint16_t)(n * 40503u); }

static inline void *source(const ledger *l, uint32_t frames)
{
    uint8_t *codes = rough_memory((size_t)frames * (l->format == RT_PCM16 ? 2 : 1));
    for (uint32_t i = 0; i < frames; i++)
        if (l->format == RT_PCM16)
            ((int16_t *)(void *)codes)[i] = pcm_at(l->pushed + i);
        else
            codes[i] = (uint8_t)scramble(l->pushed + i);
    return codes;
}

static inline void ledger_push(ledger *l, uint32_t number, uint32_t generation, uint32_t frames)
{
    rt_playout_item *item = &l->items[number];
    uint64_t waiting = rt_playout_waiting(l->playout);
    uint32_t room = l->capacity - (uint32_t)waiting, fits = frames < room ? frames : room;
    EXPECT(waiting <= l->capacity);
    void *samples = source(l, frames);
    int64_t taken = rt_playout_push(l->playout, number, generation, samples, frames);
    free(samples);
    if (number == 0 || generation == 0 || generation > l->opened ||
        (item->item != 0 && (item->generation != generation || item->complete))) {
        EXPECT(taken == RT_BAD_ARGUMENT);
    } else if (taken == RT_FULL) {
        int no_room = frames > 0 && (room == 0 || l->pushes > RT_PLAYOUT_SPANS / 2);
        EXPECT(no_room || (item->item == 0 && l->live == RT_PLAYOUT_ITEMS));
    } else {
        EXPECT(taken == fits);
        if (item->item == 0)
            *item = (rt_playout_item){.item = number, .generation = generation}, l->live++;
        item->queued += (uint64_t)taken;
        l->pushed += (uint64_t)taken;
        l->pushes++;
    }
}

static inline void ledger_complete(ledger *l, uint32_t number)
{
    int status = rt_playout_complete(l->playout, number);
    EXPECT((status == RT_BAD_ARGUMENT) == (l->items[number].item == 0));
    if (status == RT_OK)
        l->items[number].complete = 1;
}

static inline uint64_t settled(const rt_playout_item *i) { return i->played + i->faded + i->discarded; }

static inline int ledger_retire(ledger *l, uint32_t number)
{
    rt_playout_item now, *item = &l->items[number];
    int known = rt_playout_read_item(l->playout, number, &now) == RT_OK, status = rt_playout_retire(l->playout, number);
    EXPECT(known == (item->item != 0) && (status == RT_BAD_ARGUMENT) == !known);
    if (status != RT_OK)
        return status;
    EXPECT(settled(&now) == now.queued && (now.ended || now.played + now.faded == 0));
    EXPECT(rt_playout_read_item(l->playout, number, &now) == RT_BAD_ARGUMENT);
    l->retired_played += item->played;
    l->retired_faded += item->faded;
    l->retired_discarded += item->discarded;
    item->item = 0;
    l->live--;
    return status;
}

static inline void ledger_open(ledger *l, uint32_t generation)
{
    EXPECT(rt_playout_open(l->playout, generation) == (generation > l->opened ? RT_OK : RT_BAD_ARGUMENT));
    l->opened = generation > l->opened ? generation : l->opened;
    EXPECT(rt_playout_newest(l->playout) == l->opened);
}

static inline void ledger_interrupt(ledger *l, uint32_t generation)
{
    rt_playout_interrupt(l->playout, generation);
    l->latched = generation > l->latched ? generation : l->latched;
}

/* `dead`: latched before the process() calls since the last check. What is in the G.711 resampler may still play. */
static inline void ledger_check(ledger *l, uint32_t dead)
{
    uint64_t played = l->retired_played, faded = l->retired_faded, discarded = l->retired_discarded;
    uint64_t lag = l->format == RT_PCM16 ? 0 : 24;
    rt_playout_stats all;
    for (uint32_t number = 1; number < LEDGER_ITEMS; number++) {
        rt_playout_item now, *item = &l->items[number];
        if (item->item == 0)
            continue;
        EXPECT(rt_playout_read_item(l->playout, number, &now) == RT_OK);
        EXPECT(now.item == number && now.generation == item->generation && now.queued == item->queued);
        EXPECT(now.complete == item->complete && now.ended >= item->ended && now.complete >= now.ended);
        EXPECT(now.played >= item->played && now.faded >= item->faded && now.discarded >= item->discarded);
        EXPECT(settled(&now) <= now.queued && (!now.ended || settled(&now) + lag >= now.queued));
        EXPECT(now.generation > dead || now.played - item->played <= lag);
        played += now.played, faded += now.faded, discarded += now.discarded;
        *item = now;
    }
    EXPECT(rt_playout_read_stats(l->playout, &all) == RT_OK);
    EXPECT(all.queued == l->pushed && all.played == played && all.faded == faded && all.discarded == discarded);
    uint64_t inside = l->pushed - played - faded - discarded - rt_playout_waiting(l->playout);
    EXPECT(inside <= lag);
    EXPECT(all.state >= RT_SILENT && all.state <= RT_FADING && (all.generation == 0) == (all.state == RT_SILENT));
}

/* One operation of the loop thread. */
static inline void ledger_operate(ledger *l, input *in)
{
    uint32_t op = next_byte(in), number = next_in(in, 0, LEDGER_ITEMS - 1), back = op >> 4, count;
    switch (op % 8) {
    case 0:
        ledger_open(l, back < 14 ? l->opened + 1 + back / 8 : next_word(in));
        break;
    case 1:
        ledger_complete(l, number);
        break;
    case 2:
        ledger_retire(l, number);
        break;
    case 3:
        ledger_interrupt(l, back < 8 ? l->opened : back < 15 ? l->opened - (l->opened > 0) : next_word(in));
        break;
    case 4:
        for (count = next_byte(in) * (1 + back); count > 0; count--)
            ledger_push(l, number, l->items[number].item ? l->items[number].generation : l->opened, 1 + back % 3);
        break;
    case 5:
        ledger_push(l, number, back < 12 ? l->opened - (l->opened > 1) : next_word(in), next_byte(in));
        break;
    default:
        ledger_push(l, number, l->items[number].item ? l->items[number].generation : l->opened, next_in(in, 0, 3000));
    }
}

static inline void retire_what_goes(ledger *l)
{
    for (uint32_t number = 1; number < LEDGER_ITEMS; number++)
        if (l->items[number].item != 0)
            ledger_retire(l, number);
}

/* Everything complete: within `most` calls of `hop` nothing waits, nothing sounds and no row is held. */
static inline void ledger_drain(ledger *l, void (*hop)(void *context), void *context, uint32_t most)
{
    rt_playout_stats all;
    for (uint32_t number = 1; number < LEDGER_ITEMS; number++)
        for (; l->items[number].item != 0 && !l->items[number].complete; ledger_complete(l, number))
            hop(context);
    for (uint32_t i = 0; i < most && l->live > 0; i++, retire_what_goes(l))
        hop(context);
    EXPECT(l->live == 0 && rt_playout_waiting(l->playout) == 0);
    EXPECT(rt_playout_read_stats(l->playout, &all) == RT_OK && all.played + all.faded + all.discarded == all.queued);
    for (uint32_t i = 0; i < 25 && all.state != RT_SILENT; i++, rt_playout_read_stats(l->playout, &all))
        hop(context);
    EXPECT(all.state == RT_SILENT);
}

#endif
