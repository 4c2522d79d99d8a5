/* pacer.h - a sound device made of a clock: runs both halves on a thread of its own, at absolute deadlines. A named exception: it owns
 * a thread, reads the monotonic clock and sleeps.
 *
 * A file played in real time and a phone leg have no device callback; the pacer is theirs. Every block_frames / rate / speed seconds after
 * the start it calls rt_duplex_process: the microphone is `input` from its first frame on, then silence; microphone and loudspeaker are
 * written side by side into `recording`, a ring of int16[2] (what does not fit is lost and counted). A deadline missed by less than
 * RT_PACER_SLACK_MS is made up for by running at once, so the sample count follows the clock; after a longer gap (a suspended machine) the
 * clock is set anew and the gap counted.
 *
 * The duplex must be mono int16 with equal rates on both sides. The caller keeps duplex, input and recording alive until rt_pacer_stop
 * has returned, which it does within one block. Figures may be read by any thread. After a fork the child has no such thread: there
 * rt_pacer_stop only forgets.
 */
#ifndef RT_PACER_H
#define RT_PACER_H

#include "duplex.h"

/* cdef begin */
typedef struct rt_pacer rt_pacer;

enum { RT_PACER_SLACK_MS = 1000 };

typedef struct rt_pacer_config {
    rt_duplex *duplex;
    const int16_t *input; /* NULL when input_frames is 0 */
    uint64_t input_frames;
    uint32_t block_frames; /* 1..480, and no more than max_block_frames of the duplex */
    double speed;          /* 0.1..100, 1 is real time */
    rt_ring *recording;    /* of int16[2]; NULL: none */
} rt_pacer_config;

typedef struct rt_pacer_stats {
    uint64_t frames;      /* done, both ways */
    uint64_t lost_frames; /* not recorded: the ring was full */
    uint64_t gaps;        /* longer than RT_PACER_SLACK_MS */
    uint64_t latest_ns;   /* the latest that a block began after its deadline */
    uint64_t busy_ns;     /* spent in the halves, of this thread's processor time */
} rt_pacer_stats;

size_t rt_pacer_size(void);
int rt_pacer_init(rt_pacer *pacer, const rt_pacer_config *config);
/* Starts the thread. RT_SYSTEM if the system gives none, RT_BAD_ARGUMENT if it runs. */
int rt_pacer_start(rt_pacer *pacer);
/* Ends the thread and waits for it. Harmless when none runs. */
void rt_pacer_stop(rt_pacer *pacer);
int rt_pacer_read_stats(const rt_pacer *pacer, rt_pacer_stats *stats);
/* cdef end */

#include "board.h"

#include <pthread.h>
#include <sys/types.h>

struct rt_pacer {
    rt_pacer_config config;
    pthread_t thread;
    pid_t owner;
    int running;
    rt_pacer_stats stats;
    _Alignas(64) _Atomic uint32_t stop;
    rt_board board;
    int16_t block[2][RT_CHUNK];
    int16_t pairs[2 * RT_CHUNK];
};

#endif
