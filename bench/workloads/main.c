/* Runs one workload, or all in turn: `workloads NAME|all HOPS`; without arguments lists their names. See workload.h. */
#include "workload.h"

#include "pcm.h"

#include <math.h>
#include <stdio.h>

enum { MOST_RATES = 8 };

static const double PI = 3.14159265358979323846;

static struct {
    uint32_t rate;
    float *sound;
    int16_t *whole;
} voices[MOST_RATES];

static void *block_memory;

static void *aligned(size_t bytes)
{
    size_t whole = RT_ALIGN64(bytes + 1);
    return memset(aligned_alloc(64, whole), 0, whole);
}

void *memory(size_t bytes)
{
    return block_memory = aligned(bytes);
}

static double pulses(double t)
{
    double sum = 0.0;
    for (int k = 1; k < 30; k++) {
        double hertz = 120.0 * k, first = (hertz - 700.0) / 200.0, second = (hertz - 1200.0) / 200.0;
        sum += (1.0 / (1.0 + first * first) + 0.5 / (1.0 + second * second)) * sin(2.0 * PI * hertz * t);
    }
    return sum;
}

static void speak(uint32_t rate, float *sound, uint32_t frames)
{
    uint32_t period = rate / 20; /* six pulses: a whole number of samples at every rate that is used */
    for (uint32_t i = 0; i < period; i++)
        sound[i] = (float)(0.06 * pulses((double)i / rate));
    for (uint32_t i = period; i < frames; i++)
        sound[i] = sound[i - period];
    for (uint32_t i = 0; i < frames; i++) {
        double swing = sin(PI * 4.0 * i / rate);
        sound[i] *= (float)(0.2 + 0.8 * swing * swing);
    }
}

static int voice_at(uint32_t rate)
{
    int n = 0;
    while (n < MOST_RATES - 1 && voices[n].rate != 0 && voices[n].rate != rate)
        n++;
    if (voices[n].rate == 0) {
        uint32_t frames = rate * 2;
        voices[n].rate = rate;
        voices[n].sound = aligned(frames * sizeof(float));
        voices[n].whole = aligned(frames * sizeof(int16_t));
        speak(rate, voices[n].sound, frames);
        rt_pcm_from_float(voices[n].sound, voices[n].whole, frames);
    }
    return n;
}

const float *voice_hop(uint32_t rate, uint32_t hop)
{
    return voices[voice_at(rate)].sound + hop % CYCLE * (rate / 100);
}

const int16_t *voice_hop_int16(uint32_t rate, uint32_t hop)
{
    return voices[voice_at(rate)].whole + hop % CYCLE * (rate / 100);
}

/* Callgrind collects inside this function only, and writes its counts down at every return from it. */
__attribute__((noinline)) void counted_hop(const workload *w, uint32_t hop);
void counted_hop(const workload *w, uint32_t hop)
{
    w->hop(hop);
    __asm__ volatile("" ::: "memory"); /* no tail call: the return is what is waited for */
}

static void run(const workload *w, uint32_t hops)
{
    w->begin(w->option);
    for (uint32_t hop = 0; hop < CYCLE + hops; hop++) {
        if (w->before)
            w->before(hop);
        if (hop < CYCLE) /* one cycle to warm up: the voice detector's floor, histories, the queue */
            w->hop(hop);
        else
            counted_hop(w, hop);
        if (w->after)
            w->after(hop);
    }
    free(block_memory);
    block_memory = NULL;
}

int main(int count, char **arguments)
{
    const workload *const tables[] = {block_workloads, half_workloads};
    int found = 0;
    for (size_t n = 0; n < 2; n++)
        for (const workload *w = tables[n]; w->name; w++) {
            int chosen = count == 3 && (strcmp(arguments[1], w->name) == 0 || strcmp(arguments[1], "all") == 0);
            if (count < 3)
                puts(w->name);
            else if (chosen)
                run(w, (uint32_t)strtoul(arguments[2], NULL, 10));
            found += chosen;
        }
    return count >= 3 && found == 0;
}
