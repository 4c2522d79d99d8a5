/* wide.h - a second copy of a plain loop for processors with wider vectors, chosen when it is called.
 *
 * The loop is written once, as a static RT_FORCED function; one caller of it is marked RT_WIDE, so that the compiler
 * may use AVX2 there, and runs where rt_wide() is true. Elsewhere, and with RT_NARROW defined, rt_wide() is 0 and what
 * every processor has is used (SSE2, NEON). For exact arithmetic only: both copies must give the same bits.
 */
#ifndef RT_WIDE_H
#define RT_WIDE_H

#define RT_FORCED inline __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__) && !defined(RT_NARROW)
#define RT_WIDE __attribute__((target("avx2")))
static inline int rt_wide(void) { return __builtin_cpu_supports("avx2") != 0; }
#else
#define RT_WIDE
static inline int rt_wide(void) { return 0; }
#endif

#endif
