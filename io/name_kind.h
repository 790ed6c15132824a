/* What a file is, by its name alone. Private to io/. */
#ifndef MR_IO_NAME_KIND_H
#define MR_IO_NAME_KIND_H

typedef enum mr_name_kind { MR_NAME_OTHER, MR_NAME_JSONL, MR_NAME_TEXT, MR_NAME_ARCHIVE, MR_NAME_IMAGE, MR_NAME_JSON } mr_name_kind;

/* What a file name's ending says, behind one compression suffix. */
mr_name_kind mr_name_kind_of(const char *name);

#endif
