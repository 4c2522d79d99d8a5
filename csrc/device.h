/* device.h - a callback with the signature of PortAudio's, for one stream of a sound device. A named exception: it reads the monotonic
 * clock, and asks for a real-time priority once.
 *
 * rt_device_callback takes interleaved blocks of any size in the duplex's sample type and channels and passes them through the halves:
 * capture, playback, or both, capture first; or, of a second microphone or a sink's monitor, hands them over as the echo reference
 * (reference.h). A device with one clock is one stream with one rt_device; a microphone and a loudspeaker
 * with clocks of their own are two, each on its thread, over the same rt_duplex. The pointer and this struct go to whatever opens streams:
 * nothing of PortAudio is linked or included, its types are declared here.
 *
 * After the sound it counts: callbacks, the flags it was given, frames that the clock says should have come and never did (due.h), time
 * stamps and gaps of each direction (stamps.h). A gap is reported once through rt_capture_gap or rt_playback_gap. Starved output is
 * the playout's count: sound that was not there; what is counted here was there and lost. Playback channels outside `playback_mask` are
 * silent. A buffer that is NULL is silence, or goes nowhere.
 *
 * With `priority` the first call asks for SCHED_FIFO for its own thread, once; what came of it is in the figures. Elsewhere than on Linux
 * it is not asked.
 *
 * The caller keeps rt_device and rt_duplex alive until the stream is closed. Figures may be read by any thread. Returns 0 always
 * (paContinue): who wants to stop closes the stream.
 */
#ifndef RT_DEVICE_H
#define RT_DEVICE_H

#include "duplex.h"
#include "stamps.h"

/* cdef begin */
typedef struct rt_device rt_device;

enum rt_device_direction { RT_DEVICE_CAPTURE = 1, RT_DEVICE_PLAYBACK = 2, RT_DEVICE_BOTH = 3, RT_DEVICE_REFERENCE = 4 };

/* PaStreamCallbackTimeInfo: seconds of the stream's clock. */
typedef struct rt_device_time {
    double adc;  /* when the first frame of `in` was captured */
    double now;  /* when the callback was called */
    double dac;  /* when the first frame of `out` will be heard */
} rt_device_time;

/* PaStreamCallbackFlags. */
enum rt_device_flag {
    RT_INPUT_UNDERFLOW = 1,
    RT_INPUT_OVERFLOW = 2,
    RT_OUTPUT_UNDERFLOW = 4,
    RT_OUTPUT_OVERFLOW = 8,
    RT_PRIMING_OUTPUT = 16
};

typedef struct rt_device_config {
    rt_duplex *duplex;
    int direction;          /* enum rt_device_direction */
    int priority;           /* 1..99: ask for SCHED_FIFO; 0: do not */
    uint32_t playback_mask; /* bit c: channel c sounds; 0: all */
} rt_device_config;

typedef struct rt_device_stats {
    uint64_t callbacks, frames;
    uint64_t input_underflows, input_overflows, output_underflows, output_overflows, priming; /* callbacks so flagged */
    uint64_t missing_frames; /* due by the clock, and never came */
    uint64_t longest_ns;     /* between two callbacks */
    uint64_t newest_ns;      /* when the newest began, monotonic clock: the heartbeat */
    uint64_t busy_ns, slowest_ns; /* spent here: all callbacks, and the slowest */
    int32_t realtime;        /* 0 not asked, 1 granted, else -errno */
    uint32_t finished;       /* the stream has ended by itself or was stopped */
} rt_device_stats;

size_t rt_device_size(void);
int rt_device_init(rt_device *device, const rt_device_config *config);
void rt_device_reset(rt_device *device); /* only while no stream runs */

/* Audio thread. PaStreamCallback; `userdata` is the rt_device. */
int rt_device_callback(const void *in, void *out, unsigned long frames, const rt_device_time *time, unsigned long flags, void *userdata);
/* The same with the clock given: simulations. */
int rt_device_process(rt_device *device, const void *in, void *out, uint32_t frames, const rt_device_time *time, uint32_t flags,
                      uint64_t now_ns) RT_NONBLOCKING;
/* PaStreamFinishedCallback: marks the end and wakes the loop. */
void rt_device_finished(void *userdata);

/* Any thread. One snapshot each; RT_FULL as in board.h. Direction: RT_DEVICE_CAPTURE (also the stamps of a reference) or RT_DEVICE_PLAYBACK. */
int rt_device_read_stats(const rt_device *device, rt_device_stats *stats);
int rt_device_read_stamps(const rt_device *device, int direction, rt_stamps_stats *stats);
/* cdef end */

#include "board.h"
#include "due.h"

struct rt_device {
    rt_device_config config;
    rt_device_stats stats;
    rt_due due;
    rt_stamps capture, playback;
    uint32_t fired;
    int asked;
    rt_board board, capture_board, playback_board;
    _Alignas(64) _Atomic uint32_t finished;
};

#endif
