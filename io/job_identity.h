/* What makes a job the same one as another, and how two differ. Private to io/. */
#ifndef MR_IO_JOB_IDENTITY_H
#define MR_IO_JOB_IDENTITY_H

#include "core/str.h"

/* Borrowed. */
typedef struct mr_job_identity {
    const char *fingerprint;
    const char *text;   /* what it is made of, "name: value" a line */
    const char *inputs; /* "digest  name" a line; NULL: not known */
} mr_job_identity;

/* Appends each setting and each input that differs, "; " between them. Where inputs tell, the line "input_sha256", which
 * is about all of them, is left out. */
void mr_job_identity_differences(mr_buf *out, const mr_job_identity *here, const mr_job_identity *there);

#endif
