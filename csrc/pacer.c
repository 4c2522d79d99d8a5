#define _GNU_SOURCE 1 /* CLOCK_THREAD_CPUTIME_ID and clock_nanosleep where libc hides them under plain POSIX */
#include "pacer.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull

size_t rt_pacer_size(void) { return RT_ALIGN64(sizeof(rt_pacer)); }

int rt_pacer_init(rt_pacer *pacer, const rt_pacer_config *config)
{
    const rt_duplex_config *duplex = &config->duplex->config;
    if (config->block_frames < 1 || config->block_frames > RT_CHUNK || config->block_frames > duplex->max_block_frames ||
        !(config->speed >= 0.1 && config->speed <= 100.0) || (config->input == NULL && config->input_frames > 0))
        return RT_BAD_ARGUMENT;
    if (duplex->sample != RT_INT16 || duplex->capture_channels != 1 || duplex->playback_channels != 1 ||
        duplex->capture_rate_hz != duplex->playback_rate_hz)
        return RT_BAD_ARGUMENT;
    if (config->recording != NULL && rt_ring_element_bytes(config->recording) != 2 * sizeof(int16_t))
        return RT_BAD_ARGUMENT;
    memset(pacer, 0, sizeof *pacer);
    pacer->config = *config;
    return RT_OK;
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

static void sleep_until(uint64_t deadline_ns)
{
#if defined(__APPLE__)
    uint64_t now = now_ns(CLOCK_MONOTONIC);
    if (deadline_ns <= now)
        return;
    struct timespec rest = {(time_t)((deadline_ns - now) / SECOND_NS), (long)((deadline_ns - now) % SECOND_NS)};
    nanosleep(&rest, NULL);
#else
    struct timespec deadline = {(time_t)(deadline_ns / SECOND_NS), (long)(deadline_ns % SECOND_NS)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) == EINTR) {
    }
#endif
}

static void run_block(rt_pacer *p)
{
    uint32_t n = p->config.block_frames;
    uint64_t done = p->stats.frames, left = done < p->config.input_frames ? p->config.input_frames - done : 0;
    uint32_t heard = left < n ? (uint32_t)left : n;
    int16_t *in = p->block[0], *out = p->block[1];
    if (heard > 0)
        memcpy(in, p->config.input + done, heard * sizeof *in);
    memset(in + heard, 0, (n - heard) * sizeof *in);
    rt_duplex_process(p->config.duplex, in, out, n);
    p->stats.frames += n;
    if (p->config.recording == NULL)
        return;
    for (uint32_t i = 0; i < n; i++) {
        p->pairs[2 * i] = in[i];
        p->pairs[2 * i + 1] = out[i];
    }
    p->stats.lost_frames += n - rt_ring_write(p->config.recording, p->pairs, n);
}

static void *run(void *argument)
{
    rt_pacer *p = argument;
    double block_ns = (double)p->config.block_frames * (double)SECOND_NS / (p->config.duplex->config.capture_rate_hz * p->config.speed);
    uint64_t start = now_ns(CLOCK_MONOTONIC), blocks = 0;
    while (!atomic_load_explicit(&p->stop, memory_order_acquire)) {
        uint64_t deadline = start + (uint64_t)((double)++blocks * block_ns);
        sleep_until(deadline);
        uint64_t now = now_ns(CLOCK_MONOTONIC), late = now > deadline ? now - deadline : 0;
        if (late > RT_PACER_SLACK_MS * (SECOND_NS / 1000)) {
            p->stats.gaps++;
            start = now;
            blocks = 0;
        } else if (late > p->stats.latest_ns) {
            p->stats.latest_ns = late;
        }
        rt_playout_clock(rt_duplex_playout(p->config.duplex), (int64_t)(deadline / 1000)); /* packets' arrivals are on this clock */
        run_block(p);
        p->stats.busy_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
        rt_board_publish(&p->board, &p->stats, sizeof p->stats);
    }
    return NULL;
}

int rt_pacer_start(rt_pacer *p)
{
    if (p->running)
        return RT_BAD_ARGUMENT;
    atomic_store_explicit(&p->stop, 0, memory_order_release);
    p->owner = getpid();
    /* Signals belong to the program's main thread: Ctrl-C must wake Python, not this sleep. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    p->running = pthread_create(&p->thread, NULL, run, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return p->running ? RT_OK : RT_SYSTEM;
}

void rt_pacer_stop(rt_pacer *p)
{
    if (!p->running)
        return;
    atomic_store_explicit(&p->stop, 1, memory_order_release);
    if (p->owner == getpid())
        pthread_join(p->thread, NULL);
    p->running = 0;
}

RT_BOARD_FITS(rt_pacer_stats);

int rt_pacer_read_stats(const rt_pacer *p, rt_pacer_stats *stats) { return rt_board_read(&p->board, stats, sizeof *stats); }
