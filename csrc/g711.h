/* g711.h - ITU-T G.711 mu-law and A-law, bit for bit as ITU-T G.191 (the software tool library) codes them.
 *
 * Linear samples are int16 at full scale (the 14 and 13 bit words of the recommendation stand in the high bits), or
 * float in [-1, 1) at scale 32768; codes are one byte per sample as they travel on the wire (A-law with its even bits
 * inverted). Floats outside the range are clamped and NaN counts as 0, as in pcm.h, whose rounding these functions
 * share. G.191 is named because coders in use differ: audioop's mu-law codes 508 inputs one step away, all of them
 * negative.
 *
 * Pure functions: no state, no memory of their own, any thread. They read `samples` values and write as many; in and
 * out must not overlap. Nothing can go wrong, no delay is added, and the work is proportional to `samples` whatever
 * the values are.
 */
#ifndef RT_G711_H
#define RT_G711_H

#include "rt.h"

/* cdef begin */
enum {
    RT_ULAW_SILENCE = 0xFF, /* the code of 0 in mu-law */
    RT_ALAW_SILENCE = 0xD5  /* the code of 0 in A-law, which has no zero: it decodes to +8 */
};

/* Between int16 and codes, one code per sample. */
void rt_ulaw_encode(const int16_t *in, uint8_t *out, uint32_t samples) RT_NONBLOCKING;
void rt_ulaw_decode(const uint8_t *in, int16_t *out, uint32_t samples) RT_NONBLOCKING;
void rt_alaw_encode(const int16_t *in, uint8_t *out, uint32_t samples) RT_NONBLOCKING;
void rt_alaw_decode(const uint8_t *in, int16_t *out, uint32_t samples) RT_NONBLOCKING;

/* From one law's codes to the other's: identical to decoding and encoding again, in one pass over the codes. Silence
 * becomes silence from mu-law to A-law; back, A-law's 0xD5 (which is +8) becomes 0xFE. */
void rt_ulaw_to_alaw(const uint8_t *in, uint8_t *out, uint32_t samples) RT_NONBLOCKING;
void rt_alaw_to_ulaw(const uint8_t *in, uint8_t *out, uint32_t samples) RT_NONBLOCKING;

/* The same from and to float; identical to going through int16 with rt_pcm_from_float and rt_pcm_to_float. */
void rt_ulaw_encode_float(const float *in, uint8_t *out, uint32_t samples) RT_NONBLOCKING;
void rt_ulaw_decode_float(const uint8_t *in, float *out, uint32_t samples) RT_NONBLOCKING;
void rt_alaw_encode_float(const float *in, uint8_t *out, uint32_t samples) RT_NONBLOCKING;
void rt_alaw_decode_float(const uint8_t *in, float *out, uint32_t samples) RT_NONBLOCKING;
/* Any of the six by number, on untyped memory aligned for int16_t: for callers that hold strings of bytes. */
enum {
    RT_G711_ULAW_ENCODE,
    RT_G711_ULAW_DECODE,
    RT_G711_ALAW_ENCODE,
    RT_G711_ALAW_DECODE,
    RT_G711_ULAW_TO_ALAW,
    RT_G711_ALAW_TO_ULAW
};
void rt_g711_convert(uint32_t which, const void *in, void *out, uint32_t samples) RT_NONBLOCKING;
/* cdef end */

#endif
