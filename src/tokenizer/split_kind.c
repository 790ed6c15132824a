#include "tokenizer/split_kind.h"

const uint8_t mr_kind_of_category[32] = {
    [MR_LU] = MR_LETTER | MR_MAY_BE_UPPER, [MR_LT] = MR_LETTER | MR_MAY_BE_UPPER, [MR_LL] = MR_LETTER | MR_MAY_BE_LOWER,
    [MR_LM] = MR_LETTER | MR_WORD, [MR_LO] = MR_LETTER | MR_WORD, [MR_MC] = MR_WORD, [MR_ME] = MR_WORD, [MR_MN] = MR_WORD,
    [MR_ND] = MR_NUMBER, [MR_NL] = MR_NUMBER, [MR_NO] = MR_NUMBER,
    [MR_PC] = MR_SIGN, [MR_PD] = MR_SIGN, [MR_PE] = MR_SIGN, [MR_PF] = MR_SIGN, [MR_PI] = MR_SIGN, [MR_PO] = MR_SIGN, [MR_PS] = MR_SIGN,
    [MR_SC] = MR_SIGN, [MR_SK] = MR_SIGN, [MR_SM] = MR_SIGN, [MR_SO] = MR_SIGN,
};

/* Rows of 16: controls (TAB LF VT FF CR are space), space and punctuation, digits, upper case, lower case. */
#define A MR_LETTER | MR_MAY_BE_UPPER
#define B MR_LETTER | MR_MAY_BE_LOWER
#define S MR_SPACE
#define L MR_SPACE | MR_LINE_END
#define N MR_NUMBER
#define P MR_SIGN
const uint8_t mr_kind_of_ascii[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, L, S, S, L, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    S, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, N, N, N, N, N, N, N, N, N, N, P, P, P, P, P, P,
    P, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, P, P, P, P, P,
    P, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, P, P, P, P, 0,
};
#undef A
#undef B
#undef S
#undef L
#undef N
#undef P
