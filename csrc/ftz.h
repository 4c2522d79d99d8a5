/* ftz.h - subnormal numbers count as zero while an audio function runs, and the thread's own setting comes back after it.
 *
 * Decaying filters drift into subnormals, which cost a hundred times a normal operation on some processors. Header only; constant work.
 */
#ifndef RT_FTZ_H
#define RT_FTZ_H

#include <stdint.h>

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
static inline uint64_t rt_ftz_begin(void)
{
    uint32_t before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u); /* flush to zero, denormals are zero */
    return before;
}
static inline void rt_ftz_end(uint64_t before) { _mm_setcsr((uint32_t)before); }
#elif defined(__aarch64__)
static inline uint64_t rt_ftz_begin(void)
{
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (1ull << 24)));
    return before;
}
static inline void rt_ftz_end(uint64_t before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
#else
static inline uint64_t rt_ftz_begin(void) { return 0; }
static inline void rt_ftz_end(uint64_t before) { (void)before; }
#endif

#endif
