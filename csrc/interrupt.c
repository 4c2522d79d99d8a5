#include "interrupt.h"

#include <string.h>

#define HOP_MS 10u
#define HOP_SHARES 1000u
#define LONGEST_HOLD_HOPS 200u /* with the longest pre-roll this fits the gate's history */

enum { IDLE = 0, DUCKED = 1, CONFIRMED = 2 };

size_t rt_interrupt_size(void) { return RT_ALIGN64(sizeof(rt_interrupt)); }

int rt_interrupt_valid(const rt_interrupt_config *config)
{
    return config->policy >= RT_POLICY_EITHER && config->policy <= RT_POLICY_NEVER && config->confirm_ms >= 10 &&
           config->confirm_ms <= 1000 && config->restore_ms >= 10 && config->restore_ms <= 2000 && config->threshold >= 0.0f &&
           config->threshold <= 1.0f && config->sure >= 0.0f && config->sure <= 1.0f;
}

int rt_interrupt_init(rt_interrupt *interrupt, const rt_interrupt_config *config)
{
    if (!rt_interrupt_valid(config))
        return RT_BAD_ARGUMENT;
    interrupt->config = *config;
    rt_interrupt_reset(interrupt);
    return RT_OK;
}

void rt_interrupt_reset(rt_interrupt *interrupt)
{
    interrupt->state = IDLE;
    interrupt->duck = interrupt->latch = 0;
    interrupt->speech = interrupt->quiet_hops = interrupt->held_hops = 0;
}

static int holds(const rt_interrupt *interrupt)
{
    return interrupt->config.policy == RT_POLICY_EITHER || interrupt->config.policy == RT_POLICY_LOCAL;
}

static int is_speech(const rt_interrupt *interrupt, float probability)
{
    return probability >= interrupt->config.threshold && probability > 0.0f;
}

static uint32_t share_of(const rt_interrupt *interrupt, float probability)
{
    float threshold = interrupt->config.threshold, sure = interrupt->config.sure;
    if (probability >= sure || sure <= threshold)
        return HOP_SHARES;
    return (uint32_t)((float)HOP_SHARES * (probability - threshold) / (sure - threshold));
}

static void count_speech(rt_interrupt *interrupt, float probability)
{
    interrupt->held_hops++;
    if (is_speech(interrupt, probability)) {
        interrupt->speech += share_of(interrupt, probability);
        interrupt->quiet_hops = 0;
    } else {
        interrupt->speech -= interrupt->speech < HOP_SHARES / 2 ? interrupt->speech : HOP_SHARES / 2;
        interrupt->quiet_hops++;
    }
}

static int sustained(const rt_interrupt *interrupt)
{
    return interrupt->speech * HOP_MS >= HOP_SHARES * interrupt->config.confirm_ms || interrupt->held_hops >= LONGEST_HOLD_HOPS;
}

static void to_idle(rt_interrupt *interrupt)
{
    interrupt->state = IDLE;
    interrupt->duck = 0;
}

static void confirm(rt_interrupt *interrupt, uint32_t newest, rt_interrupt_result *result)
{
    interrupt->state = CONFIRMED;
    interrupt->duck = interrupt->latch = newest;
    result->change |= RT_CHANGE_CONFIRMED;
}

static void duck(rt_interrupt *interrupt, float probability, uint32_t newest, rt_interrupt_result *result)
{
    interrupt->state = DUCKED;
    interrupt->duck = newest;
    interrupt->speech = interrupt->quiet_hops = interrupt->held_hops = 0;
    count_speech(interrupt, probability);
    result->change = RT_CHANGE_DUCKED;
    if (holds(interrupt) && sustained(interrupt))
        confirm(interrupt, newest, result);
}

static void while_ducked(rt_interrupt *interrupt, float probability, uint32_t playing, uint32_t newest, rt_interrupt_result *result)
{
    count_speech(interrupt, probability);
    if (playing == 0) {
        to_idle(interrupt);
        result->hold = RT_HOLD_SEND;
        result->change = RT_CHANGE_RELEASED;
    } else if (holds(interrupt) && sustained(interrupt)) {
        confirm(interrupt, newest, result);
        result->hold = RT_HOLD_SEND;
    } else if (interrupt->quiet_hops * HOP_MS >= interrupt->config.restore_ms) {
        to_idle(interrupt);
        result->hold = RT_HOLD_DROP;
        result->change = RT_CHANGE_RESTORED;
    }
}

void rt_interrupt_process(rt_interrupt *interrupt, float probability, uint32_t playing, uint32_t newest,
                          rt_interrupt_result *result) RT_NONBLOCKING
{
    result->hold = RT_HOLD_OFF;
    result->change = RT_CHANGE_NONE;
    if (interrupt->state == DUCKED)
        while_ducked(interrupt, probability, playing, newest, result);
    else if (interrupt->state == CONFIRMED && (playing == 0 || playing > interrupt->latch))
        to_idle(interrupt);
    if (interrupt->state == IDLE && result->change == RT_CHANGE_NONE && is_speech(interrupt, probability) && playing != 0 &&
        interrupt->config.policy != RT_POLICY_NEVER)
        duck(interrupt, probability, newest, result);
    if (interrupt->state == DUCKED && holds(interrupt))
        result->hold = RT_HOLD_ON;
    result->duck = interrupt->duck;
    result->latch = interrupt->latch;
}

uint32_t rt_interrupt_latency(const rt_interrupt *interrupt)
{
    (void)interrupt;
    return 0;
}
