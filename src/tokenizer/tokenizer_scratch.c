#include "tokenizer/tokenizer_scratch.h"

#include <stdlib.h>

mr_status mr_tokenizer_scratch_create(mr_tokenizer_scratch **out, mr_error *error)
{
    mr_tokenizer_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory for tokenizer scratch");
    mr_status status = mr_regex_scratch_prepare(&scratch->regex, error);
    if (status != MR_OK) return mr_tokenizer_scratch_destroy(scratch), status;
    *out = scratch;
    return MR_OK;
}

void mr_tokenizer_scratch_destroy(mr_tokenizer_scratch *scratch)
{
    if (!scratch) return;
    for (size_t i = 0; i < 2; i++) {
        mr_buf_fini(&scratch->normal[i]);
        mr_buf_fini(&scratch->spaced[i]);
        free(scratch->pieces[i].items);
        free(scratch->ids[i].items);
        free(scratch->ids[i].spans);
    }
    mr_marks_fini(&scratch->marks);
    mr_offsets_fini(&scratch->offsets);
    mr_regex_scratch_fini(&scratch->regex);
    mr_bpe_scratch_fini(&scratch->bpe);
    mr_unigram_scratch_fini(&scratch->unigram);
    mr_word_cache_fini(&scratch->cache);
    free(scratch);
}
