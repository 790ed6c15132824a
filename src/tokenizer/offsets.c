#include "tokenizer/offsets.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/byte_level.h"
#include "tokenizer/normalizer.h"

void mr_offsets_fini(mr_offsets *offsets)
{
    free(offsets->now.items);
    free(offsets->made.items);
    free(offsets->matches);
    for (size_t i = 0; i < 3; i++) free(offsets->bytes[i]);
    *offsets = (mr_offsets){ 0 };
}

static bool grow(void **items, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity) return true;
    size_t wanted = needed + needed / 2 + 64;
    void *grown = realloc(*items, wanted * size);
    if (!grown) return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

static bool push(mr_trace *trace, uint32_t point, int32_t change, mr_span span)
{
    if (!grow((void **)&trace->items, &trace->capacity, trace->count + 1, sizeof *trace->items)) return false;
    trace->items[trace->count++] = (mr_traced){ point, change, span };
    return true;
}

static void swap(mr_offsets *o)
{
    mr_trace made = o->made;
    o->made = o->now;
    o->now = made;
}

bool mr_offsets_begin(mr_offsets *o, mr_str segment, size_t base)
{
    o->now.count = 0;
    o->base = base;
    for (size_t at = 0, length; at < segment.length; at += length) {
        uint32_t point = mr_utf8_decode(segment.data + at, &length);
        if (!push(&o->now, point, 0, (mr_span){ (uint32_t)(base + at), (uint32_t)(base + at + length) })) return false;
    }
    return true;
}

/* ---------------------------------------------------------------- steps that say how many characters change */

/* The new characters' stretches from their changes. */
static void settle(mr_offsets *o)
{
    size_t at = 0, count = o->now.count;
    for (size_t i = 0; i < o->made.count; i++) {
        mr_traced *item = &o->made.items[i];
        if (item->change > 0) {
            item->span = at == 0 ? (mr_span){ (uint32_t)o->base, (uint32_t)o->base } : o->now.items[at - 1].span;
            continue;
        }
        item->span = at < count ? o->now.items[at].span : count ? o->now.items[count - 1].span : (mr_span){ (uint32_t)o->base, (uint32_t)o->base };
        at += 1 + (size_t)-item->change;
        if (at > count) at = count;
    }
    swap(o);
}

/* By class, then as they stood: while texts are decomposed, span.start holds the place. */
static int by_class(const void *left, const void *right)
{
    const mr_traced *a = left, *b = right;
    uint32_t class_a = mr_unicode_class(a->point), class_b = mr_unicode_class(b->point);
    if (class_a != class_b) return class_a < class_b ? -1 : 1;
    return (a->span.start > b->span.start) - (a->span.start < b->span.start);
}

static void order_marks(mr_trace *trace)
{
    for (size_t i = 0; i < trace->count; i++) {
        size_t from = i;
        while (i < trace->count && mr_unicode_class(trace->items[i].point)) i++;
        if (i - from > 1) qsort(trace->items + from, i - from, sizeof *trace->items, by_class);
    }
}

static void compose(mr_trace *trace)
{
    size_t starter = SIZE_MAX, kept = 0;
    uint32_t last = 0; /* class of the one before, behind a starter */
    for (size_t i = 0; i < trace->count; i++) {
        mr_traced item = trace->items[i];
        uint32_t class = mr_unicode_class(item.point);
        bool blocked = starter == SIZE_MAX || (last != 0 && last >= class) || (last == 0 && kept > starter + 1);
        uint32_t joined = blocked ? 0 : mr_unicode_compose(trace->items[starter].point, item.point);
        if (joined) {
            trace->items[starter].point = joined;
            trace->items[starter].change += item.change - 1;
            continue;
        }
        if (class == 0) starter = kept;
        last = class;
        trace->items[kept++] = item;
    }
    trace->count = kept;
}

static bool trace_form(mr_offsets *o, mr_normal_form form)
{
    o->made.count = 0;
    for (size_t i = 0; i < o->now.count; i++) {
        uint32_t points[MR_DECOMPOSITION_MAX];
        size_t count = mr_unicode_decompose(o->now.items[i].point, form == MR_NFKC || form == MR_NFKD, points);
        for (size_t k = 0; k < count; k++)
            if (!push(&o->made, points[k], k > 0, (mr_span){ (uint32_t)o->made.count, 0 })) return false;
    }
    order_marks(&o->made);
    if (form == MR_NFC || form == MR_NFKC) compose(&o->made);
    settle(o);
    return true;
}

/* A part becomes another text: characters beyond the old ones' number are put in, missing ones go with the last before. */
static bool trace_replaced(mr_offsets *o, size_t old, mr_str text)
{
    size_t new = 0;
    for (size_t at = 0, length; at < text.length; at += length, new++) {
        uint32_t point = mr_utf8_decode(text.data + at, &length);
        if (!push(&o->made, point, new >= old, (mr_span){ 0 })) return false;
    }
    if (new < old && o->made.count) o->made.items[o->made.count - 1].change -= (int32_t)(old - new);
    return true;
}

static bool trace_precompiled(mr_offsets *o, const mr_precompiled *map, mr_str before)
{
    size_t inside = 0, length;
    o->made.count = 0;
    for (size_t at = 0; at < before.length; at += length) {
        mr_str rest = { before.data + at, before.length - at }, replacement;
        length = mr_precompiled_next(map, rest, &inside, &replacement);
        mr_str part = { rest.data, length };
        if (!trace_replaced(o, mr_utf8_count(part), replacement.data ? replacement : part)) return false;
    }
    settle(o);
    return true;
}

/* ---------------------------------------------------------------- steps that look at single characters */

static bool put_text(mr_offsets *o, mr_str text, mr_span span)
{
    for (size_t at = 0, length; at < text.length; at += length)
        if (!push(&o->made, mr_utf8_decode(text.data + at, &length), 0, span)) return false;
    return true;
}

static bool put_lower(mr_offsets *o, mr_traced item)
{
    if (item.point == 0x130) return push(&o->made, 'i', 0, item.span) && push(&o->made, 0x307, 0, item.span);
    return push(&o->made, mr_unicode_lower(item.point), 0, item.span);
}

static bool put_chinese(mr_offsets *o, mr_traced item)
{
    bool alone = mr_bert_is_chinese(item.point);
    return (!alone || push(&o->made, ' ', 0, item.span)) && push(&o->made, item.point, 0, item.span) && (!alone || push(&o->made, ' ', 0, item.span));
}

static bool put_clean(mr_offsets *o, mr_traced item)
{
    uint32_t to = mr_bert_clean(item.point);
    return to == 0 || push(&o->made, to, 0, item.span);
}

static bool put_nmt(mr_offsets *o, mr_traced item)
{
    uint32_t to = mr_nmt_clean(item.point);
    return (to == 0 && item.point != 0) || push(&o->made, to, 0, item.span);
}

static bool put_no_accent(mr_offsets *o, mr_traced item)
{
    return (mr_unicode_category8(item.point) & MR_CATEGORY_BIT(MR_MN)) != 0 || push(&o->made, item.point, 0, item.span);
}

static bool put_no_mark(mr_offsets *o, mr_traced item)
{
    return (mr_unicode_category8(item.point) & MR_CATEGORIES_M) != 0 || push(&o->made, item.point, 0, item.span);
}

static bool put_bytes(mr_offsets *o, mr_traced item)
{
    char bytes[4];
    size_t length = mr_utf8_encode(item.point, bytes);
    for (size_t i = 0; i < length; i++)
        if (!push(&o->made, mr_byte_level_character((unsigned char)bytes[i]), 0, item.span)) return false;
    return true;
}

static bool each(mr_offsets *o, bool (*put)(mr_offsets *o, mr_traced item))
{
    o->made.count = 0;
    for (size_t i = 0; i < o->now.count; i++)
        if (!put(o, o->now.items[i])) return false;
    swap(o);
    return true;
}

static bool trace_bert(mr_offsets *o, const mr_bert_normalizer *bert)
{
    return (!bert->clean_text || each(o, put_clean)) && (!bert->handle_chinese_chars || each(o, put_chinese)) &&
           (!bert->strip_accents || (trace_form(o, MR_NFD) && each(o, put_no_accent))) && (!bert->lowercase || each(o, put_lower));
}

/* ---------------------------------------------------------------- the others */

/* Characters of the text before that the stripped one, a part of it, still has. */
static void trace_strip(mr_offsets *o, mr_str before, mr_str after)
{
    size_t skipped = mr_utf8_count((mr_str){ before.data, (size_t)(after.data - before.data) });
    o->now.count = mr_utf8_count(after);
    memmove(o->now.items, o->now.items + skipped, o->now.count * sizeof *o->now.items);
}

/* What replaces a match takes the stretch of the match's last character. */
static bool trace_matches(mr_offsets *o, mr_str content)
{
    size_t at = 0, match = 0;
    o->made.count = 0;
    for (size_t i = 0; i < o->now.count;) {
        if (match == o->match_count || at < o->matches[match].start) {
            mr_traced item = o->now.items[i++];
            at += mr_utf8_encoded_length(item.point);
            if (!push(&o->made, item.point, 0, item.span)) return false;
            continue;
        }
        while (at < o->matches[match].end) at += mr_utf8_encoded_length(o->now.items[i++].point);
        match++;
        if (!put_text(o, content, o->now.items[i - 1].span)) return false;
    }
    o->match_count = 0;
    swap(o);
    return true;
}

static bool trace_prepend(mr_offsets *o, mr_str prepended)
{
    if (o->now.count == 0) return true;
    o->made.count = 0;
    if (!put_text(o, prepended, o->now.items[0].span)) return false;
    for (size_t i = 0; i < o->now.count; i++)
        if (!push(&o->made, o->now.items[i].point, 0, o->now.items[i].span)) return false;
    swap(o);
    return true;
}

bool mr_offsets_match(mr_offsets *o, size_t start, size_t end)
{
    if (!grow((void **)&o->matches, &o->match_capacity, o->match_count + 1, sizeof *o->matches)) return false;
    o->matches[o->match_count++] = (mr_span){ (uint32_t)start, (uint32_t)end };
    return true;
}

bool mr_offsets_step(mr_offsets *o, const mr_normalizer_step *step, mr_str before, mr_str after)
{
    switch (step->type) {
    case MR_NORMALIZER_FORM: return trace_form(o, step->form);
    case MR_NORMALIZER_LOWERCASE: return each(o, put_lower);
    case MR_NORMALIZER_STRIP: return trace_strip(o, before, after), true;
    case MR_NORMALIZER_STRIP_ACCENTS: return each(o, put_no_mark);
    case MR_NORMALIZER_REPLACE: return trace_matches(o, step->replace.content);
    case MR_NORMALIZER_PREPEND: return trace_prepend(o, step->prepend);
    case MR_NORMALIZER_BERT: return trace_bert(o, &step->bert);
    case MR_NORMALIZER_NMT: return each(o, put_nmt);
    case MR_NORMALIZER_PRECOMPILED: return trace_precompiled(o, step->precompiled, before);
    case MR_NORMALIZER_BYTE_LEVEL: return each(o, put_bytes);
    }
    return true;
}

/* ---------------------------------------------------------------- bytes */

bool mr_offsets_finish(mr_offsets *o, mr_str text)
{
    size_t at = 0;
    if (!grow((void **)&o->bytes[0], &o->capacity[0], text.length + 4, sizeof **o->bytes)) return false;
    for (size_t i = 0; i < o->now.count && at < text.length; i++)
        for (size_t left = mr_utf8_encoded_length(o->now.items[i].point); left > 0 && at < text.length; left--) o->bytes[0][at++] = o->now.items[i].span;
    mr_span last = at ? o->bytes[0][at - 1] : (mr_span){ (uint32_t)o->base, (uint32_t)o->base };
    while (at < text.length) o->bytes[0][at++] = last;
    return true;
}

bool mr_offsets_spaced(mr_offsets *o, size_t slot, size_t filled, size_t start, mr_str from, size_t mark_length, size_t length)
{
    size_t plain = 0;
    if (!grow((void **)&o->bytes[slot], &o->capacity[slot], filled + length, sizeof **o->bytes)) return false;
    mr_span *to = o->bytes[slot] + filled;
    for (size_t i = 0; i < from.length; i++) plain += from.data[i] == ' ' ? mark_length : 1;
    for (size_t i = plain; i < length; i++) *to++ = o->current[start];
    for (size_t i = 0; i < from.length; i++)
        for (size_t k = 0; k < (from.data[i] == ' ' ? mark_length : 1); k++) *to++ = o->current[start + i];
    return true;
}

mr_span mr_offsets_of(const mr_offsets *o, size_t start, size_t end)
{
    if (start == end) return (mr_span){ o->current[start - (start > 0)].end, o->current[start - (start > 0)].end };
    return (mr_span){ o->current[start].start, o->current[end - 1].end };
}

static bool is_blank(uint32_t c)
{
    return c == 0x120 /* a space in the alphabet of byte-level BPE */ || mr_unicode_is_space(c);
}

mr_span mr_offsets_trim(mr_str text, mr_span span, mr_str token, bool keep_one)
{
    size_t leading = 0, trailing = 0, length;
    for (size_t at = 0; at < token.length && is_blank(mr_utf8_decode(token.data + at, &length)); at += length) leading++;
    for (size_t at = token.length; at > 0;) {
        at = mr_utf8_before(token.data, at);
        if (!is_blank(mr_utf8_decode(token.data + at, &length))) break;
        trailing++;
    }
    if (leading && keep_one) leading--;
    for (; leading && span.start < span.end; leading--) span.start += (uint32_t)mr_utf8_length((unsigned char)text.data[span.start]);
    for (; trailing && span.end > span.start; trailing--) span.end = (uint32_t)mr_utf8_before(text.data, span.end);
    return span;
}
