/* rt.h - what every block of the core shares: the inner format, the status codes, three macros.
 *
 * Inside the core sound is mono float in [-1, 1] at RT_RATE, in hops of RT_HOP samples (10 ms). A block is one flat, pointer-free
 * struct in memory the caller brings (64-byte aligned); parts of variable size follow the struct and are found by offset, so that a
 * whole block can be copied with memcpy. Functions marked RT_NONBLOCKING neither allocate, lock, print, touch files nor call Python,
 * and do a bounded amount of work; they are the only ones an audio thread may call.
 */
#ifndef RT_H
#define RT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__has_attribute)
#if __has_attribute(nonblocking)
#define RT_NONBLOCKING __attribute__((nonblocking))
#endif
#endif
#ifndef RT_NONBLOCKING
#define RT_NONBLOCKING
#endif

#define RT_ALIGN64(bytes) (((size_t)(bytes) + 63u) & ~(size_t)63u)

/* cdef begin */
enum {
    RT_RATE = 24000, /* Hz, the inner rate */
    RT_HOP = 240     /* samples, 10 ms */
};

enum rt_status {
    RT_OK = 0,
    RT_BAD_ARGUMENT = -1, /* a value outside its stated range; nothing was changed */
    RT_FULL = -2,         /* a bounded queue or table has no room now; nothing was changed */
    RT_SYSTEM = -3        /* the operating system refused (threads and clocks only) */
};

/* Wire form of the samples in a queue or on a ring. */
enum rt_format {
    RT_PCM16 = 0, /* int16, native byte order, 24 000 Hz */
    RT_ULAW = 1,  /* G.711 mu-law, 8 000 Hz */
    RT_ALAW = 2   /* G.711 A-law, 8 000 Hz */
};

/* What a status means, for people. Never NULL. */
const char *rt_status_text(int status);
/* cdef end */

#endif
