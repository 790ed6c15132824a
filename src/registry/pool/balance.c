#include "registry/pool/balance.h"

/* splitmix64 (Steele, Lea, Flood 2014): any state is a good one. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

size_t mr_balance_pick(const mr_candidate *candidates, size_t count, uint64_t *random)
{
    if (count == 1) return 0;
    size_t a = (size_t)(draw(random) % count); /* count is far below 2^64: no bias worth a second draw */
    size_t b = (size_t)(draw(random) % (count - 1));
    if (b >= a) b++;
    if (candidates[a].pending != candidates[b].pending) return candidates[a].pending < candidates[b].pending ? a : b;
    return candidates[a].last_used_ns <= candidates[b].last_used_ns ? a : b;
}
