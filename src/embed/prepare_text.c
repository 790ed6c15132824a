#include "embed/prepare_text.h"

#include <stdlib.h>

#include "embed/eos_rule.h"

struct mr_text_preparer {
    mr_sentence_config *config;
    mr_tokenizer *tokenizer;
    mr_buf prompt;
    char *suffix; /* written behind every text; NULL: nothing */
    int32_t eos; /* appended to every text; -1: none */
    size_t prompt_tokens; /* to be left out of the pooling; 0 when the prompt counts */
};

/* Python's str.strip() on the characters a prompt can plausibly end with: ASCII white space, U+0085, U+00A0, U+3000. */
static mr_str strip(mr_str text)
{
    static const char *const spaces[] = { " ", "\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", "\xc2\x85", "\xc2\xa0", "\xe3\x80\x80" };
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        mr_str space = mr_str_of(spaces[i]);
        if (text.length < space.length) continue;
        bool before = mr_str_equal((mr_str){ text.data, space.length }, space);
        bool after = mr_str_equal((mr_str){ text.data + text.length - space.length, space.length }, space);
        if (!before && !after) continue;
        if (before) text = (mr_str){ text.data + space.length, text.length - space.length };
        else text.length -= space.length;
        i = (size_t)-1; /* from the first again */
    }
    return text;
}

/* The stripped prompt tokenised alone, without a special token at its end: the reference's rule. */
static mr_status count_prompt_tokens(mr_text_preparer *preparer, mr_error *error)
{
    mr_tokenizer_scratch *scratch = NULL;
    mr_encoding encoding = { 0 };
    const mr_encode_options options = { .add_special_tokens = true };
    MR_TRY(mr_tokenizer_scratch_create(&scratch, error));
    mr_status status =
        mr_tokenizer_encode(preparer->tokenizer, scratch, strip((mr_str){ preparer->prompt.data, preparer->prompt.length }), &options, &encoding, error);
    if (status == MR_OK) {
        bool special_end = encoding.count > 0 && mr_tokenizer_is_special(preparer->tokenizer, encoding.ids[encoding.count - 1]);
        preparer->prompt_tokens = encoding.count - (special_end ? 1 : 0);
    }
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    return status;
}

mr_status mr_text_preparer_create(const char *directory, const mr_embed_options *options, const mr_cache *cache, mr_text_preparer **out, mr_error *error)
{
    mr_text_preparer *preparer = calloc(1, sizeof *preparer);
    if (!preparer) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a text preparer", directory);
    mr_str prompt;
    mr_status status;
    MR_TRY_OR(status, mr_sentence_config_open(directory, options, &preparer->config, error), fail);
    MR_TRY_OR(status, mr_sentence_config_prompt(preparer->config, options, &prompt, error), fail);
    if (!mr_buf_append(&preparer->prompt, prompt.data, prompt.length)) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate the prompt", directory);
        goto fail;
    }
    MR_TRY_OR(status, mr_tokenizer_open(preparer->config->backbone_directory, cache, &preparer->tokenizer, error), fail);
    MR_TRY_OR(status, mr_eos_suffix_read(preparer->config->backbone_directory, &preparer->suffix, error), fail);
    MR_TRY_OR(status, mr_eos_rule_read(preparer->config->backbone_directory, preparer->tokenizer, &preparer->eos, error), fail);
    if (!preparer->config->include_prompt && prompt.length > 0) MR_TRY_OR(status, count_prompt_tokens(preparer, error), fail);
    *out = preparer;
    return MR_OK;
fail:
    mr_text_preparer_destroy(preparer);
    return status;
}

void mr_text_preparer_destroy(mr_text_preparer *preparer)
{
    if (!preparer) return;
    mr_tokenizer_close(preparer->tokenizer);
    mr_sentence_config_close(preparer->config);
    mr_buf_fini(&preparer->prompt);
    free(preparer->suffix);
    free(preparer);
}

const mr_sentence_config *mr_text_preparer_config(const mr_text_preparer *preparer) { return preparer->config; }
mr_str mr_text_preparer_prompt(const mr_text_preparer *preparer) { return (mr_str){ preparer->prompt.data, preparer->prompt.length }; }

/* What a text tower does not see or is always given. */
static mr_status fit_to_tower(const mr_text_tower *tower, mr_encoding *encoding, mr_error *error)
{
    size_t end = 0;
    for (size_t i = 1; tower->end_id < 0 && i < encoding->count; i++)
        if (encoding->ids[i] > encoding->ids[end]) end = i;
    while (tower->end_id >= 0 && end < encoding->count && encoding->ids[end] != tower->end_id) end++;
    if (tower->has_end && end < encoding->count) encoding->count = end + 1;
    while (encoding->count < tower->padded_length)
        if (!mr_encoding_append(encoding, tower->padding_id)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate token ids");
    return MR_OK;
}

mr_status mr_text_preparer_run(const mr_text_preparer *preparer, mr_tokenizer_scratch *scratch, mr_str text, mr_encoding *encoding,
                               size_t *prompt_tokens, bool *truncated, mr_error *error)
{
    size_t limit = preparer->config->max_tokens, reserved = preparer->eos >= 0 ? 1 : 0;
    const mr_encode_options options = { .add_special_tokens = true, .max_tokens = limit > reserved ? limit - reserved : limit };
    mr_buf joined = { 0 };
    if (preparer->prompt.length > 0 || preparer->suffix) {
        if (!mr_buf_append(&joined, preparer->prompt.data, preparer->prompt.length) || !mr_buf_append(&joined, text.data, text.length) ||
            !mr_buf_append_str(&joined, preparer->suffix ? preparer->suffix : "")) {
            mr_buf_fini(&joined);
            return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate prompt and text");
        }
        text = (mr_str){ joined.data, joined.length };
    }
    mr_status status = mr_tokenizer_encode(preparer->tokenizer, scratch, text, &options, encoding, error);
    mr_buf_fini(&joined);
    if (status != MR_OK) return status;
    if (preparer->eos >= 0 && !mr_encoding_append(encoding, preparer->eos)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate token ids");
    if (encoding->count == 0) return mr_error_set(error, MR_BAD_RECORD, "the text gives no tokens at all");
    *prompt_tokens = preparer->prompt_tokens < encoding->count ? preparer->prompt_tokens : encoding->count;
    *truncated = encoding->full_count > encoding->count;
    if (preparer->config->tower.projection) MR_TRY(fit_to_tower(&preparer->config->tower, encoding, error));
    return MR_OK;
}
