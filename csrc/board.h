/* board.h - one thread's figures, read whole by any other without making it wait.
 *
 * The owner publishes a plain struct of up to RT_BOARD_WORDS 64-bit words; a reader gets one publication or, if it was overtaken
 * RT_BOARD_TRIES times running, nothing. The words are atomics (so that no read is a data race) between two steps of a sequence number
 * that is odd while the owner writes. Header only; work: the words copied.
 */
#ifndef RT_BOARD_H
#define RT_BOARD_H

#include "rt.h"

#include <stdatomic.h>
#include <string.h>

enum { RT_BOARD_WORDS = 24, RT_BOARD_TRIES = 1000 };

typedef struct rt_board {
    _Alignas(64) _Atomic uint32_t sequence;
    _Atomic uint64_t words[RT_BOARD_WORDS];
} rt_board;

#define RT_BOARD_FITS(type) _Static_assert(sizeof(type) % 8 == 0 && sizeof(type) <= 8 * RT_BOARD_WORDS, "the struct does not fit a board")

static inline void rt_board_publish(rt_board *board, const void *figures, size_t bytes)
{
    uint32_t sequence = atomic_load_explicit(&board->sequence, memory_order_relaxed);
    atomic_store_explicit(&board->sequence, sequence + 1, memory_order_relaxed);
    for (size_t i = 0; i < bytes / 8; i++) {
        uint64_t word;
        memcpy(&word, (const unsigned char *)figures + 8 * i, 8);
        atomic_store_explicit(&board->words[i], word, memory_order_release);
    }
    atomic_store_explicit(&board->sequence, sequence + 2, memory_order_release);
}

static inline int rt_board_read(const rt_board *board, void *figures, size_t bytes)
{
    for (int tries = 0; tries < RT_BOARD_TRIES; tries++) {
        uint32_t begun = atomic_load_explicit(&board->sequence, memory_order_acquire);
        for (size_t i = 0; i < bytes / 8; i++) {
            uint64_t word = atomic_load_explicit(&board->words[i], memory_order_acquire);
            memcpy((unsigned char *)figures + 8 * i, &word, 8);
        }
        if ((begun & 1) == 0 && atomic_load_explicit(&board->sequence, memory_order_relaxed) == begun)
            return RT_OK;
    }
    return RT_FULL;
}

#endif
