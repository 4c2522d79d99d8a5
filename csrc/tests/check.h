/* check.h - the few lines the C tests share: a failed check is printed with its place and fails the program. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures = 0;

#define CHECK(condition)                                                                                                                   \
    do {                                                                                                                                   \
        if (!(condition)) {                                                                                                                \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                                                        \
            if (++check_failures > 20)                                                                                                     \
                exit(1);                                                                                                                   \
        }                                                                                                                                  \
    } while (0)

#define CHECK_EQUAL(got, wanted)                                                                                                           \
    do {                                                                                                                                   \
        long long got_ = (long long)(got), wanted_ = (long long)(wanted);                                                                  \
        if (got_ != wanted_) {                                                                                                             \
            fprintf(stderr, "%s:%d: %s is %lld, wanted %lld\n", __FILE__, __LINE__, #got, got_, wanted_);                                  \
            if (++check_failures > 20)                                                                                                     \
                exit(1);                                                                                                                   \
        }                                                                                                                                  \
    } while (0)

#define CHECK_NEAR(got, wanted, tolerance)                                                                                                 \
    do {                                                                                                                                   \
        double got_ = (double)(got), wanted_ = (double)(wanted);                                                                           \
        if (!(fabs(got_ - wanted_) <= (double)(tolerance))) {                                                                              \
            fprintf(stderr, "%s:%d: %s is %g, wanted %g +- %g\n", __FILE__, __LINE__, #got, got_, wanted_, (double)(tolerance));           \
            if (++check_failures > 20)                                                                                                     \
                exit(1);                                                                                                                   \
        }                                                                                                                                  \
    } while (0)

#define CHECK_DONE() (check_failures ? (fprintf(stderr, "%d checks failed\n", check_failures), 1) : 0)

/* 64-byte aligned zeroed memory for a block. */
static inline void *check_memory(size_t bytes)
{
    size_t rounded = (bytes + 63u) & ~(size_t)63u;
    void *memory = aligned_alloc(64, rounded ? rounded : 64);
    if (!memory)
        abort();
    memset(memory, 0, rounded);
    return memory;
}

/* A small seeded generator (xorshift64*), so that a failing run can be repeated from its printed seed. */
static inline unsigned check_random(unsigned long long *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (unsigned)((*state * 2685821657736338717ull) >> 32);
}

#endif
