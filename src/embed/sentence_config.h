/* The sentence-transformers files of a model directory: which modules run in which order, limits, prompts.
 *
 * Read are modules.json, sentence_bert_config.json (and its historical names), config_sentence_transformers.json,
 * tokenizer_config.json and each module's config.json; no weights. Without modules.json: mean pooling, no normalisation; for a text
 * tower (models/encoder.h) its projection, normalised.
 * Reference: UKPLab/sentence-transformers 6.2.0, sentence_transformers/SentenceTransformer.py and models/. */
#ifndef MR_EMBED_SENTENCE_CONFIG_H
#define MR_EMBED_SENTENCE_CONFIG_H

#include "core/str.h"
#include "embed/embed_options.h"
#include "models/encoder.h"

#define MR_POOLING_MODES_MAX 6

typedef enum mr_sentence_module_kind { MR_SENTENCE_DENSE, MR_SENTENCE_LAYER_NORM, MR_SENTENCE_NORMALIZE } mr_sentence_module_kind;

/* A step behind the pooling: [count, inputs] -> [count, outputs]. */
typedef struct mr_sentence_module {
    mr_sentence_module_kind kind;
    char *directory; /* of its weights; NULL for Normalize */
    const char *tensor; /* Dense: <tensor>.weight */
    size_t inputs, outputs;
    bool has_bias; /* Dense */
    bool has_residual; /* Dense: the input is added; with other widths, <directory>'s residual.weight times the input */
    mr_activation activation; /* Dense */
    bool sigmoid;             /* Dense: after the activation */
} mr_sentence_module;

typedef struct mr_prompt {
    char *name;
    char *text; /* [length] + NUL; may hold U+0000 */
    size_t length;
} mr_prompt;

/* How two of a model's vectors are compared; distances count the other way round. */
typedef enum mr_similarity { MR_SIMILARITY_COSINE, MR_SIMILARITY_DOT, MR_SIMILARITY_EUCLIDEAN, MR_SIMILARITY_MANHATTAN } mr_similarity;

const char *mr_similarity_text(mr_similarity similarity);
bool mr_similarity_parse(const char *text, mr_similarity *out);

typedef struct mr_sentence_config {
    char *backbone_directory; /* config.json, weights and tokenizer of the Transformer module */
    size_t max_tokens;        /* specials included; options.max_tokens applied; never above what the weights have positions for; 0 = any */
    size_t hidden_size;       /* of the backbone */
    size_t dimension;         /* of the final vector */
    mr_text_tower tower;      /* its projection is among the modules; projection NULL: none */
    mr_pooling poolings[MR_POOLING_MODES_MAX]; /* their vectors are concatenated */
    size_t pooling_count;
    bool include_prompt; /* false: the prompt's tokens are left out of the pooling */
    mr_sentence_module *modules;
    size_t module_count;
    size_t truncate_dimension; /* after the modules; 0 = off */
    bool normalize_at_end;     /* after the truncation */
    mr_prompt *prompts;
    size_t prompt_count;
    const mr_prompt *default_prompt; /* NULL: none */
    mr_similarity similarity;
} mr_sentence_config;

/* `options` NULL = the model's own settings. MODEL_FILES_MISSING, MODEL_CORRUPT, MODEL_UNSUPPORTED naming file and key;
 * CONFIG when an option does not fit the model. */
mr_status mr_sentence_config_open(const char *directory, const mr_embed_options *options, mr_sentence_config **out, mr_error *error);
void mr_sentence_config_close(mr_sentence_config *config); /* NULL is fine */

/* The prompt to put in front of a text: prompt_text when given (an empty one counts), else the prompt called prompt_name when given
 * (CONFIG naming the known ones when absent), else for a query the one called "query", else the default one, else none. Borrowed from
 * the config or from `options`; NULL: as the model says. */
mr_status mr_sentence_config_prompt(const mr_sentence_config *config, const mr_embed_options *options, mr_str *out, mr_error *error);

#endif
