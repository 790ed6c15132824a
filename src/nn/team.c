#include "nn/team.h"

#ifdef _OPENMP
#include <omp.h>

void mr_team_run(size_t threads, size_t items, mr_team_task *task, void *context)
{
    size_t members = threads < items ? threads : items;
    if (members <= 1) {
        for (size_t item = 0; item < items; item++) task(context, item, 0);
        return;
    }
#pragma omp parallel for num_threads((int)members) schedule(dynamic, 1)
    for (size_t item = 0; item < items; item++) task(context, item, (size_t)omp_get_thread_num());
}
#else
void mr_team_run(size_t threads, size_t items, mr_team_task *task, void *context)
{
    (void)threads;
    for (size_t item = 0; item < items; item++) task(context, item, 0);
}
#endif
