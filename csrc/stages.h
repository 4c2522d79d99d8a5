/* stages.h - the user's own DSP in a chain: up to RT_STAGE_SLOTS functions called on every hop, swapped while sound runs.
 *
 * A stage is `void stage(void *state, float *block, uintptr_t n)`: mono float at RT_RATE, n = RT_HOP samples, changed in place. It runs on
 * the audio thread that calls rt_stages_process, so it must do bounded work without allocating, locking, printing or taking the GIL, and
 * it may not keep `block`. Sound within [-1, 1] comes in; what comes out may be louder (the playback half limits, the capture half
 * saturates), but NaN leaves as 0 and anything beyond RT_STAGE_PEAK as RT_STAGE_PEAK, counted in `broken`.
 *
 * The loop thread posts a whole list (rt_stages_set); the newest is taken over at the next hop boundary. Neither thread waits: the list
 * lies in a mailbox with a sequence number that is odd while it is written, and a hop that meets a half-written one keeps the old. Nothing
 * clicks: in a slot whose stage changes or is bypassed the old output turns into the new along a raised cosine of one hop. A stage that
 * moves to another slot would have to run twice in that hop; it leaves its old slot in one hop and enters the new one in the next.
 * A bypassed stage still hears the sound (its output is dropped), so it comes back as if it had never been away; its latency does not count.
 *
 * Every list has a number, 1 for the first. Once rt_stages_passed has reached it, no stage that is only in older lists will be called or
 * looked at again, and its state may be freed; not before.
 *
 * Named exception to pointer-free state: the list holds the user's pointers, all of them in this struct. A copy (memcpy) knows by its
 * address that it is one and lets sound pass unchanged: two owners must not run one state.
 *
 * Delay: what the stages declare, at most RT_STAGE_LATENCY samples each. Work: the stages', twice that of a changed slot in the hop
 * of the change, and one pass over the hop.
 */
#ifndef RT_STAGES_H
#define RT_STAGES_H

#include "rt.h"

/* cdef begin */
typedef struct rt_stages rt_stages;

enum {
    RT_STAGE_SLOTS = 8,
    RT_STAGE_LATENCY = 2400, /* samples a stage may declare, 100 ms */
    RT_STAGE_PEAK = 8        /* linear */
};

typedef void (*rt_stage_function)(void *state, float *block, uintptr_t n);

typedef struct rt_stage {
    rt_stage_function function; /* NULL: the slot is empty */
    void *state;                /* the user's; NULL if it has none */
    uint32_t latency;           /* samples at RT_RATE */
    uint32_t bypass;            /* 1: heard but not used */
} rt_stage;

size_t rt_stages_size(void);
int rt_stages_init(rt_stages *stages);
void rt_stages_reset(rt_stages *stages); /* empty; only while no audio thread runs */
/* Loop thread. Posts a list of `count` stages, called in this order; RT_BAD_ARGUMENT for more than RT_STAGE_SLOTS, a latency out of
 * range or a stage (function and state) that is there twice. */
int rt_stages_set(rt_stages *stages, const rt_stage *list, uint32_t count);
/* Loop thread. Takes the newest list over at once and without a fade; only while no audio thread runs. */
void rt_stages_settle(rt_stages *stages);
/* Number of the newest list posted (loop thread), and of the newest wholly taken over (any thread). */
uint32_t rt_stages_posted(const rt_stages *stages);
uint32_t rt_stages_passed(const rt_stages *stages);
/* Hops in which a stage gave NaN or more than RT_STAGE_PEAK. Any thread. */
uint32_t rt_stages_broken(const rt_stages *stages);
/* Samples at RT_RATE, of the newest list posted. Loop thread. */
uint32_t rt_stages_latency(const rt_stages *stages);
/* Audio thread: one hop in place. Returns whether any stage was there. */
int rt_stages_process(rt_stages *stages, float *hop) RT_NONBLOCKING;
/* cdef end */

#include "board.h"

struct rt_stages {
    const rt_stages *self; /* tells a copy that it is one */
    uint32_t latency;      /* by the loop */
    rt_board mailbox;      /* by the loop: rt_stage[RT_STAGE_SLOTS] */
    /* by the audio thread */
    _Alignas(64) _Atomic uint32_t passed, broken;
    uint32_t taken; /* sequence of the mailbox at which `wanted` was read */
    int busy;       /* a stage runs, or `wanted` is not yet what runs */
    rt_stage running[RT_STAGE_SLOTS], wanted[RT_STAGE_SLOTS];
    float fade[RT_HOP]; /* raised cosine, 0 to 1 */
    float was[RT_HOP], will[RT_HOP];
};

#endif
