/* The component "decoder": the texts of ids back to one text. Steps work on lists of texts. */
#ifndef MR_TOKENIZER_DECODER_H
#define MR_TOKENIZER_DECODER_H

#include "tokenizer/json_tree.h"
#include "tokenizer/text_list.h"

typedef enum mr_decoder_type {
    MR_DECODER_BYTE_LEVEL, MR_DECODER_WORDPIECE, MR_DECODER_METASPACE, MR_DECODER_REPLACE, MR_DECODER_BYTE_FALLBACK, MR_DECODER_FUSE,
    MR_DECODER_STRIP, MR_DECODER_BPE, MR_DECODER_CTC
} mr_decoder_type;

typedef struct mr_decoder_step {
    mr_decoder_type type;
    mr_str text;    /* owned: prefix, pattern, replacement, stripped character, suffix, pad token */
    mr_str content; /* owned: Replace's content, CTC's delimiter */
    bool flag;      /* WordPiece, CTC: clean up; Metaspace: the first text loses its replacement characters */
    size_t start, stop; /* Strip */
} mr_decoder_step;

typedef struct mr_decoder {
    mr_decoder_step *steps; /* none: texts are joined with a space */
    size_t count;
} mr_decoder;

mr_status mr_decoder_open(mr_json_value component, mr_decoder *out, mr_error *error);
/* ByteLevel alone. */
mr_status mr_decoder_open_byte_level(mr_decoder *out, mr_error *error);
void mr_decoder_fini(mr_decoder *decoder);
bool mr_decoder_has(const mr_decoder *decoder, mr_decoder_type type);

/* `texts` go through all steps but those of type `except` (pass MR_DECODER_NONE for all); what comes out is appended
 * to `out`. `first`: the first text is the first of the whole. `texts` and `spare` are used up. False: out of memory. */
#define MR_DECODER_NONE ((mr_decoder_type)-1)
bool mr_decoder_run(const mr_decoder *decoder, mr_decoder_type except, bool first, mr_text_list *texts, mr_text_list *spare, mr_buf *out);

/* Appends the bytes of one text of a byte-level vocabulary. */
bool mr_decoder_append_bytes(mr_str text, mr_buf *out);
/* The byte of "<0xHH>", else -1. */
int mr_decoder_fallback_byte(mr_str text);

#endif
