#include "echo_delay.h"
#include "ftz.h"
#include "tame.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define SURE 0.03f
#define STANDS_OUT 2.5f   /* times the median */
#define BETTER 1.4f       /* times the old lag's */
#define BETTER_HOPS 5
#define NEWEST 0.04f      /* share of the newest hop in the agreement */
#define SOUNDS 1e-6f      /* mean square of a reference that sounds, -60 dBFS */
#define TINY 1e-20f

size_t rt_echo_delay_size(void) { return RT_ALIGN64(sizeof(rt_echo_delay)); }

int rt_echo_delay_init(rt_echo_delay *d)
{
    memset(d, 0, sizeof *d);
    rt_fft_init(&d->fft, RT_ECHO_DELAY_FRAME);
    for (uint32_t i = 0; i < RT_ECHO_DELAY_FRAME; i++)
        d->window[i] = (float)(0.5 - 0.5 * cos(2.0 * PI * i / RT_ECHO_DELAY_FRAME));
    rt_echo_delay_reset(d);
    return RT_OK;
}

void rt_echo_delay_reset(rt_echo_delay *d)
{
    memset(d->microphone, 0, sizeof d->microphone);
    memset(d->reference, 0, sizeof d->reference);
    memset(d->active, 0, sizeof d->active);
    memset(d->phase_re, 0, sizeof d->phase_re);
    memset(d->phase_im, 0, sizeof d->phase_im);
    memset(d->agree_re, 0, sizeof d->agree_re);
    memset(d->agree_im, 0, sizeof d->agree_im);
    memset(d->coherence, 0, sizeof d->coherence);
    d->lag = d->better = -1;
    d->better_hops = d->jump = 0;
    d->newest = 0;
}

/* Unit phases of the last two hops; the mean square of the newer one. */
static float phases(const rt_echo_delay *d, float *last, const float *hop, float *out_re, float *out_im)
{
    float frame[RT_ECHO_DELAY_FRAME], re[RT_FFT_BINS], im[RT_FFT_BINS], sum = 0.0f;
    for (uint32_t i = 0; i < RT_HOP; i++) {
        float x = rt_tame(hop[i]);
        frame[i] = last[i] * d->window[i];
        frame[RT_HOP + i] = x * d->window[RT_HOP + i];
        last[i] = x;
        sum += x * x;
    }
    rt_fft_forward(&d->fft, frame, re, im);
    for (uint32_t k = 0; k < RT_ECHO_PHASES; k++) {
        float r = re[RT_ECHO_FIRST + k], j = im[RT_ECHO_FIRST + k], scale = 1.0f / sqrtf(r * r + j * j + TINY);
        out_re[k] = r * scale;
        out_im[k] = j * scale;
    }
    return sum / RT_HOP;
}

static void compare(rt_echo_delay *d, uint32_t lag, const float *mic_re, const float *mic_im)
{
    uint32_t row = (d->newest + RT_ECHO_LAGS - lag) % RT_ECHO_LAGS;
    const float *ref_re = d->phase_re[row], *ref_im = d->phase_im[row];
    float *re = d->agree_re[lag], *im = d->agree_im[lag], square[RT_ECHO_PHASES], sum = 0.0f;
    if (!d->active[row])
        return;
    for (uint32_t k = 0; k < RT_ECHO_PHASES; k++) {
        re[k] += NEWEST * (mic_re[k] * ref_re[k] + mic_im[k] * ref_im[k] - re[k]);
        im[k] += NEWEST * (mic_im[k] * ref_re[k] - mic_re[k] * ref_im[k] - im[k]);
        square[k] = re[k] * re[k] + im[k] * im[k];
    }
    for (uint32_t k = 0; k < RT_ECHO_PHASES; k++)
        sum += square[k];
    d->coherence[lag] = sum / RT_ECHO_PHASES;
}

static float median(const float *values)
{
    float sorted[RT_ECHO_LAGS];
    for (int i = 0; i < RT_ECHO_LAGS; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1] > values[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = values[i];
    }
    return sorted[RT_ECHO_LAGS / 2];
}

/* Samples by which the room's answer lies later in one lag than in the other: their phases, one against the other, are those of a shift. */
static int shifted(const rt_echo_delay *d, int from, int to)
{
    float re[RT_FFT_BINS] = {0}, im[RT_FFT_BINS] = {0}, likeness[RT_ECHO_DELAY_FRAME];
    const float *ar = d->agree_re[from], *ai = d->agree_im[from], *br = d->agree_re[to], *bi = d->agree_im[to];
    for (uint32_t k = 0; k < RT_ECHO_PHASES; k++) {
        re[RT_ECHO_FIRST + k] = br[k] * ar[k] + bi[k] * ai[k];
        im[RT_ECHO_FIRST + k] = bi[k] * ar[k] - br[k] * ai[k];
    }
    rt_fft_backward(&d->fft, re, im, likeness);
    int best = 0;
    for (int i = 1; i < RT_ECHO_DELAY_FRAME; i++)
        if (likeness[i] > likeness[best])
            best = i;
    return best < RT_HOP ? best : best - RT_ECHO_DELAY_FRAME;
}

static int decide(rt_echo_delay *d)
{
    int best = 0;
    for (int lag = 1; lag < RT_ECHO_LAGS; lag++)
        if (d->coherence[lag] > d->coherence[best])
            best = lag;
    int clear = d->coherence[best] > SURE && d->coherence[best] > STANDS_OUT * median(d->coherence);
    if (!clear || best == d->lag || (d->lag >= 0 && d->coherence[best] < BETTER * d->coherence[d->lag])) {
        d->better = -1;
        d->better_hops = 0;
        return 0;
    }
    d->better_hops = best == d->better ? d->better_hops + 1 : 1;
    d->better = best;
    if (d->better_hops < BETTER_HOPS)
        return 0;
    d->jump = d->lag < 0 ? 0 : (best - d->lag) * RT_HOP + shifted(d, d->lag, best);
    d->lag = best;
    d->better = -1;
    d->better_hops = 0;
    return 1;
}

int rt_echo_delay_process(rt_echo_delay *d, const float *microphone, const float *reference) RT_NONBLOCKING
{
    float re[RT_ECHO_PHASES], im[RT_ECHO_PHASES];
    uint64_t mode = rt_ftz_begin();
    d->newest = (d->newest + 1) % RT_ECHO_LAGS;
    float heard = phases(d, d->reference, reference, d->phase_re[d->newest], d->phase_im[d->newest]);
    d->active[d->newest] = heard > SOUNDS;
    phases(d, d->microphone, microphone, re, im);
    for (uint32_t lag = 0; lag < RT_ECHO_LAGS; lag++)
        compare(d, lag, re, im);
    int changed = decide(d);
    rt_ftz_end(mode);
    return changed;
}

int rt_echo_delay_lag(const rt_echo_delay *d) RT_NONBLOCKING { return d->lag; }

int rt_echo_delay_jump(const rt_echo_delay *d) RT_NONBLOCKING { return d->jump; }

float rt_echo_delay_sure(const rt_echo_delay *d) RT_NONBLOCKING { return d->lag < 0 ? 0.0f : d->coherence[d->lag]; }

uint32_t rt_echo_delay_latency(const rt_echo_delay *d)
{
    (void)d;
    return 0;
}
