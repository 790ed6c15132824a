/* What models run in, whoever calls them: one memory account, one registry, their metrics. The public part is in millrace.h. */
#ifndef MR_PIPELINES_RUNTIME_H
#define MR_PIPELINES_RUNTIME_H

#include "pipelines/job.h"
#include "registry/registry.h"

/* As a job's resources and pool settings say; `job` is borrowed until close. CANNOT_CREATE when the metrics file cannot be
 * written, IO or CONFIG when their address cannot be listened on. */
mr_status mr_runtime_create(const mr_job *job, bool pin_threads, mr_runtime **out, mr_error *error);

mr_governor *mr_runtime_governor(mr_runtime *runtime);
const char *mr_runtime_memory(const mr_runtime *runtime); /* the setting; NULL: the default */

/* The model of entry->key: the entry is added the first time, later the same model is given again, so the key has to tell
 * apart what differs. Of its capability_options the first `options_bytes` are copied. Borrowed until close. Thread-safe. */
mr_status mr_runtime_model(mr_runtime *runtime, const mr_registry_entry *entry, size_t options_bytes, mr_pool_model **out, mr_error *error);

#endif
