#include "registry/pool/breaker.h"

void mr_breaker_init(mr_breaker *breaker, size_t failures_to_open, size_t probes, int64_t open_ns)
{
    *breaker = (mr_breaker){ .failures_to_open = failures_to_open, .probes = probes, .open_ns = open_ns };
}

mr_breaker_state mr_breaker_state_at(const mr_breaker *breaker, int64_t now)
{
    return breaker->state == MR_BREAKER_OPEN && now >= breaker->closes_at ? MR_BREAKER_HALF_OPEN : breaker->state;
}

static void open(mr_breaker *breaker, int64_t now)
{
    breaker->state = MR_BREAKER_OPEN;
    breaker->closes_at = breaker->open_ns > MR_CLOCK_FOREVER - now ? MR_CLOCK_FOREVER : now + breaker->open_ns;
    breaker->round++;
}

static void close_again(mr_breaker *breaker)
{
    breaker->state = MR_BREAKER_CLOSED;
    breaker->failures = 0;
    breaker->round++;
}

bool mr_breaker_admit(mr_breaker *breaker, int64_t now, uint64_t *round)
{
    if (breaker->state == MR_BREAKER_OPEN && mr_breaker_state_at(breaker, now) == MR_BREAKER_HALF_OPEN) {
        breaker->state = MR_BREAKER_HALF_OPEN;
        breaker->in_flight = 0;
        breaker->successes = 0;
        breaker->round++;
    }
    if (breaker->state == MR_BREAKER_OPEN) return false;
    if (breaker->state == MR_BREAKER_HALF_OPEN) {
        if (breaker->in_flight + breaker->successes >= breaker->probes) return false;
        breaker->in_flight++;
    }
    *round = breaker->round;
    return true;
}

bool mr_breaker_record(mr_breaker *breaker, int64_t now, uint64_t round, mr_verdict verdict)
{
    if (round != breaker->round) return false;
    if (breaker->state == MR_BREAKER_HALF_OPEN && breaker->in_flight > 0) breaker->in_flight--;
    if (verdict == MR_VERDICT_NONE) return false;
    if (verdict == MR_VERDICT_SUCCESS) {
        breaker->failures = 0;
        if (breaker->state != MR_BREAKER_HALF_OPEN || ++breaker->successes < breaker->probes) return false;
        close_again(breaker);
        return true;
    }
    if (breaker->state == MR_BREAKER_CLOSED && ++breaker->failures < breaker->failures_to_open) return false;
    open(breaker, now);
    return true;
}

const char *mr_breaker_state_text(mr_breaker_state state)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        MR_BREAKER_STATE_LIST(TEXT)
#undef TEXT
    };
    return texts[state];
}
