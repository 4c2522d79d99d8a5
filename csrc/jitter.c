/* The numbers here were found by simulation over seeded generators and cellular traces; bench/paced.py shows what they reach. */
#include "jitter.h"

#include <math.h>
#include <string.h>

#define HOP_US 10000
#define LONGEST_FRAMES (1 << 20)
#define FAR ((int64_t)1 << 52) /* microseconds or samples: beyond it times are taken as this */

#define GENTLE 0.06 /* change of speed in speech, hardly heard */
#define STRONG 0.08 /* and the most */
#define PAUSE 0.4   /* in pauses, not heard */

#define SPEECH_LOW 0.5           /* of the target: below it speech is slowed */
#define PAUSE_LOW 0.7            /* and pauses */
#define RETURN_US 14000.0        /* this far above the target, or after a late packet, pauses are shortened down to it */
#define SPEECH_RETURN_US 25000.0 /* this far above, and at least SPEECH_RETURN of the target, speech is too */
#define SPEECH_RETURN 1.2
#define CALM_US 2200000 /* nothing is hurried for so long after a late packet, as outages cluster */

#define NEAR_SHARE 0.25      /* of the target at hand, or less, */
#define NEAR_MOST_US 28000.0 /* this at most, as long outages gain nothing by it, */
#define OVERDUE_US 25000.0   /* and a packet this much overdue: an outage has begun */
#define SLOW_SHARE 0.2       /* speech slowed then, per concealed */

static double to_us(const rt_jitter *jitter, int64_t samples)
{
    return (double)samples * (1e6 / jitter->config.clock_hz);
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* ---- life ---- */

size_t rt_jitter_size(void)
{
    return RT_ALIGN64(sizeof(rt_jitter));
}

int rt_jitter_init(rt_jitter *jitter, const rt_jitter_config *config)
{
    if (config->clock_hz < 8000 || config->clock_hz > 192000 || config->max_delay_ms < 200 || config->max_delay_ms > 10000 ||
        !(config->patience >= 0.25f && config->patience <= 4.0f))
        return RT_BAD_ARGUMENT;
    jitter->config = *config;
    rt_jitter_reset(jitter);
    return RT_OK;
}

void rt_jitter_reset(rt_jitter *jitter)
{
    rt_jitter_config config = jitter->config;
    memset(jitter, 0, sizeof *jitter);
    jitter->config = config;
    rt_delays_reset(&jitter->delays, (double)config.patience, 1000.0 * config.max_delay_ms);
    rt_jitter_rebase(jitter);
}

void rt_jitter_rebase(rt_jitter *jitter)
{
    jitter->has_base = jitter->has_newest = 0;
    rt_delays_rebase(&jitter->delays);
    jitter->seen = 0;
    jitter->quiet_from = jitter->quiet_until = 0;
    jitter->newest_is_noise = 0;
    jitter->starting = jitter->returning = 1; /* the first delay was a guess */
    jitter->owed = 0;
    jitter->last_late = -FAR;
    jitter->slowed = 0.0;
    jitter->concealed = 60000.0; /* some slowing is allowed before the first concealment */
}

int64_t rt_jitter_start(const rt_jitter *jitter)
{
    return jitter->start;
}

double rt_jitter_target_ms(const rt_jitter *jitter)
{
    return jitter->delays.target_us / 1000.0;
}

void rt_jitter_read_stats(const rt_jitter *jitter, rt_jitter_stats *stats)
{
    *stats = jitter->stats;
    stats->jitter_ms = jitter->delays.jitter_ms;
    stats->drift_ppm = (float)(jitter->delays.drift * 1e6);
}

/* ---- packets ---- */

/* Marks a sequence number; 1 if it was there already. Older than 64 counts as not seen: its place will be late. */
static int seen_before(rt_jitter *jitter, uint16_t sequence)
{
    int ahead = (int16_t)(uint16_t)(sequence - jitter->newest_sequence);
    if (!jitter->has_newest) {
        jitter->seen = 1;
        jitter->newest_sequence = sequence;
        return 0;
    }
    if (ahead > 0) {
        jitter->seen = ahead < 64 ? (jitter->seen << ahead) | 1u : 1u;
        jitter->newest_sequence = sequence;
        jitter->stats.lost += (uint64_t)(ahead - 1);
        return 0;
    }
    if (ahead <= -64)
        return 0;
    if (jitter->seen >> -ahead & 1u)
        return 1;
    jitter->seen |= (uint64_t)1 << -ahead;
    jitter->stats.reordered++;
    jitter->stats.lost -= jitter->stats.lost > 0;
    return 0;
}

/* Where the time stamp stands on the line, and how late it is there. */
static int64_t offset_at(const rt_jitter *jitter, int64_t position, int64_t arrival)
{
    return arrival - (int64_t)to_us(jitter, position);
}

static int is_jump(const rt_jitter *jitter, const rt_jitter_packet *packet, int64_t offset)
{
    if (packet->ssrc != jitter->ssrc)
        return 1;
    double above = (double)offset - rt_delays_base_us(&jitter->delays, packet->arrival_us);
    return above < -1e6 || above > 1e7;
}

/* The line goes on behind the newest sound, so that what waits is played out and nothing is played twice. */
static int64_t begin_base(rt_jitter *jitter, const rt_jitter_packet *packet)
{
    int64_t position = jitter->newest_end > jitter->playhead ? jitter->newest_end : jitter->playhead;
    int again = jitter->has_base;
    if (again) {
        rt_jitter_rebase(jitter);
        jitter->stats.rebased++;
    }
    jitter->has_base = 1;
    jitter->ssrc = packet->ssrc;
    jitter->start = jitter->newest_position = jitter->newest_end = position;
    jitter->newest_timestamp = packet->timestamp;
    return position;
}

static void note_newest(rt_jitter *jitter, const rt_jitter_packet *packet, int64_t position, int in_sequence)
{
    if (position < jitter->newest_position)
        return;
    if (in_sequence && position > jitter->newest_end) {
        jitter->quiet_from = jitter->newest_end;
        jitter->quiet_until = position;
    }
    jitter->newest_position = position;
    jitter->newest_timestamp = packet->timestamp;
    jitter->newest_frames = packet->frames < LONGEST_FRAMES ? (int64_t)packet->frames : LONGEST_FRAMES;
    jitter->newest_end = position + jitter->newest_frames;
    jitter->newest_is_noise = packet->kind == RT_JITTER_NOISE;
}

int rt_jitter_arrived(rt_jitter *jitter, const rt_jitter_packet *packet, rt_jitter_placed *placed)
{
    rt_jitter_packet p = *packet;
    p.arrival_us = clamp(p.arrival_us, jitter->has_base ? jitter->last_arrival : -FAR, FAR); /* this clock does not go back */
    int64_t position = jitter->newest_position + (int32_t)(p.timestamp - jitter->newest_timestamp);
    int verdict = RT_JITTER_TAKEN;
    jitter->stats.packets++;
    if (p.kind == RT_JITTER_EVENT) { /* seen_before marks it; a leap behind it is then in sequence */
        int doubled = jitter->has_base && jitter->ssrc == p.ssrc && jitter->has_newest && seen_before(jitter, p.sequence);
        *placed = (rt_jitter_placed){doubled ? RT_JITTER_DOUBLED : RT_JITTER_TAKEN, jitter->newest_end};
        return placed->verdict;
    }
    if (!jitter->has_base || is_jump(jitter, &p, offset_at(jitter, position, p.arrival_us))) {
        verdict = jitter->has_base ? RT_JITTER_REBASED : RT_JITTER_TAKEN;
        position = begin_base(jitter, &p);
    }
    int in_sequence = jitter->has_newest && (uint16_t)(p.sequence - jitter->newest_sequence) == 1;
    int doubled = seen_before(jitter, p.sequence);
    jitter->has_newest = 1;
    if (doubled) {
        jitter->stats.doubled++;
        *placed = (rt_jitter_placed){RT_JITTER_DOUBLED, position};
        return placed->verdict;
    }
    jitter->last_arrival = p.arrival_us;
    rt_delays_note(&jitter->delays, offset_at(jitter, position, p.arrival_us), p.arrival_us);
    if (!jitter->starting && position + (int64_t)(p.frames & (LONGEST_FRAMES - 1)) <= jitter->playhead && p.frames) {
        jitter->stats.late++;
        jitter->returning = 1;
        jitter->last_late = p.arrival_us;
        verdict = RT_JITTER_LATE;
    }
    note_newest(jitter, &p, position, in_sequence);
    *placed = (rt_jitter_placed){verdict, position};
    return verdict;
}

/* ---- each hop ---- */

static int outage_near(const rt_jitter *jitter, int64_t now, double at_hand_us)
{
    double usual = fmin(20000.0, to_us(jitter, jitter->newest_frames));
    if (jitter->newest_is_noise || at_hand_us >= fmin(NEAR_SHARE * jitter->delays.target_us, NEAR_MOST_US))
        return 0;
    return (double)(now - jitter->last_arrival) > OVERDUE_US + usual;
}

/* How much faster (above 0) or slower to play. Pauses do most of it; speech is touched when far off only. */
static double change_of_speed(rt_jitter *jitter, int64_t now, double delay, double at_hand_us, int speech)
{
    double target = jitter->delays.target_us, excess = delay - target;
    int calm = now - jitter->last_late >= CALM_US;
    if (outage_near(jitter, now, at_hand_us) && (!speech || jitter->slowed < SLOW_SHARE * jitter->concealed)) {
        jitter->returning = 1;
        return speech ? -STRONG : -PAUSE;
    }
    if (excess <= 0.0)
        jitter->returning = 0;
    else if (excess > RETURN_US)
        jitter->returning = 1;
    if (speech) {
        if (delay < SPEECH_LOW * target)
            return -GENTLE;
        if (excess < fmax(SPEECH_RETURN_US, SPEECH_RETURN * target) || !calm)
            return 0.0;
        return fmin(STRONG, GENTLE * fmax(1.0, excess / (1.7 * target)));
    }
    if (delay < PAUSE_LOW * target)
        return -PAUSE;
    if (!jitter->returning || !calm)
        return 0.0;
    return fmin(PAUSE, excess / HOP_US);
}

static void forget(rt_jitter *jitter)
{
    double keep = 1.0 - HOP_US / 60e6;
    jitter->slowed *= keep;
    jitter->concealed *= keep;
}

/* A hole at the playhead: what was waited for is passed over, silence of the sender is no loss, the rest is. */
static int pass_hole(rt_jitter *jitter, int64_t playhead, int64_t hole, rt_jitter_decision *decision)
{
    decision->jump = jitter->owed < hole ? jitter->owed : hole;
    jitter->owed = 0;
    playhead += decision->jump;
    if (decision->jump == hole)
        return RT_JITTER_PLAY;
    if (playhead >= jitter->quiet_from && playhead < jitter->quiet_until)
        return RT_JITTER_QUIET;
    jitter->concealed += HOP_US;
    return RT_JITTER_LOST;
}

static int nothing_there(rt_jitter *jitter, int64_t now)
{
    if (jitter->newest_is_noise)
        return RT_JITTER_QUIET;
    jitter->returning = 1;
    jitter->last_late = now;
    jitter->concealed += HOP_US;
    jitter->owed += jitter->config.clock_hz / 100;
    return RT_JITTER_WAIT;
}

static void play(rt_jitter *jitter, int64_t now, double delay, int64_t at_hand, int speech, rt_jitter_decision *decision)
{
    double excess = delay - 1000.0 * jitter->config.max_delay_ms, at_hand_us = to_us(jitter, at_hand);
    if (excess > 0.0 && at_hand_us > 20000.0) {
        double jump_us = fmin(excess, at_hand_us - HOP_US);
        int64_t jump = (int64_t)(jump_us * jitter->config.clock_hz / 1e6);
        decision->jump += jump;
        decision->skipped = 1;
        delay -= jump_us;
        at_hand_us -= jump_us;
    }
    double change = change_of_speed(jitter, now, delay, at_hand_us, speech);
    decision->speed = (float)(1.0 + change);
    if (change < 0.0 && speech)
        jitter->slowed -= change * HOP_US;
    double missing = HOP_US - at_hand_us / (1.0 + change);
    if (missing > 0.0 && !jitter->newest_is_noise) {
        jitter->concealed += missing;
        jitter->returning = 1;
        jitter->last_late = now;
    }
    jitter->owed = 0;
}

int rt_jitter_decide(rt_jitter *jitter, int64_t now_us, int64_t playhead, int64_t at_hand, int64_t hole, int speech,
                     rt_jitter_decision *decision)
{
    now_us = clamp(now_us, -FAR, FAR);
    playhead = clamp(playhead, -FAR, FAR);
    at_hand = clamp(at_hand, 0, FAR);
    hole = clamp(hole, 0, FAR);
    *decision = (rt_jitter_decision){.action = RT_JITTER_START, .speed = 1.0f, .target_us = (int32_t)jitter->delays.target_us};
    jitter->playhead = playhead;
    if (!jitter->has_base || !jitter->delays.blocks)
        return decision->action;
    forget(jitter);
    double delay = (double)now_us - to_us(jitter, playhead) - rt_delays_base_us(&jitter->delays, now_us);
    decision->delay_us = (int32_t)fmax(-2e9, fmin(2e9, delay));
    if (jitter->starting) {
        if (playhead >= jitter->start && delay < jitter->delays.target_us)
            return decision->action;
        jitter->starting = playhead < jitter->start; /* what waits of an older base is played out first */
    }
    if (at_hand == 0 && hole > 0)
        decision->action = pass_hole(jitter, playhead, hole, decision);
    else if (at_hand == 0)
        decision->action = nothing_there(jitter, now_us);
    else
        decision->action = RT_JITTER_PLAY;
    if (decision->action == RT_JITTER_PLAY)
        play(jitter, now_us, delay - to_us(jitter, decision->jump), at_hand ? at_hand : jitter->newest_frames, speech, decision);
    return decision->action;
}
