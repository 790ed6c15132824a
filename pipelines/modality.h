/* What differs between embedding texts and embedding images: what a record becomes before it is batched, the request made of a
 * batch, and the model behind it. All else in an embedding job is the same. */
#ifndef MR_PIPELINES_MODALITY_H
#define MR_PIPELINES_MODALITY_H

#include "capability/image_embedding.h"
#include "capability/text_embedding.h"
#include "core/str.h"
#include "io/record.h"
#include "pipelines/job.h"
#include "tokenizer/tokenizer.h"

struct mr_job_plan;
struct mr_embed_attributes;

/* A record, ready for the model. */
typedef struct mr_prepared {
    union {
        mr_text_embedding_input text; /* into `encoding` */
        mr_image image;               /* into `pixels` */
    } input;
    size_t tokens;  /* what it costs */
    bool truncated;
    mr_encoding encoding;
    uint8_t *pixels;           /* malloc'ed */
    uint32_t width, height;    /* of the image as it was stored, turned upright */
} mr_prepared;

void mr_prepared_fini(mr_prepared *prepared); /* fine on a zeroed one */

typedef union mr_modality_request {
    mr_text_embedding_request text;
    mr_image_embedding_request image;
} mr_modality_request;

typedef struct mr_modality {
    const char *name;       /* as the setting has it */
    const char *inputs;     /* what a batch holds: "texts" */
    const char *preparing;  /* the stage, in traces and progress lines */
    const mr_model_vtable *model;
    size_t input_bytes;     /* of an input in a request */

    /* From the model's files into the plan: its "modality's part". */
    mr_status (*plan)(const mr_job *job, struct mr_job_plan *plan, mr_error *error);
    /* What a record grows by when it is prepared. */
    size_t (*prepared_bytes)(const struct mr_job_plan *plan, const mr_record *record);
    /* `scratch` is the calling thread's. `out` comes zeroed and is the caller's, also on failure. BAD_RECORD and others: this record fails, with the error's text. */
    mr_status (*prepare)(const mr_job *job, const struct mr_job_plan *plan, mr_tokenizer_scratch *scratch, const mr_record *record, mr_prepared *out,
                         mr_error *error);
    void (*make_request)(const void *inputs, size_t count, mr_modality_request *out);
    /* Attributes for the output: what is to be known of the model's settings. */
    void (*describe)(const struct mr_job_plan *plan, struct mr_embed_attributes *out);
} mr_modality;

extern const mr_modality mr_modality_text, mr_modality_image;

#endif
