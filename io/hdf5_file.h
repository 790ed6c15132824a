/* HDF5 files, opened and written so that neither a full disk nor a hostile file brings the process down with libhdf5.
 *
 * libhdf5 1.10 crashes or leaks open files when a write fails. So writing goes through a driver of ours that keeps the
 * first errno and tells libhdf5 that all went well: mr_h5_output_close reports it and the file never gets its name.
 * libhdf5's own error printing is switched off; its stack becomes our error text. One thread at a time. */
#ifndef MR_IO_HDF5_FILE_H
#define MR_IO_HDF5_FILE_H

#include <hdf5.h>

#include "core/error.h"

/* Call before any other use of HDF5: switches its error printing off. Cheap, may be repeated. */
void mr_h5_quiet(void);

/* Sets `status` and "<what>: <innermost reason of libhdf5>". */
mr_status mr_h5_error(mr_error *error, mr_status status, const char *format, ...) MR_PRINTF(3, 4);

typedef struct mr_h5_output mr_h5_output;

/* A new file; NO_SPACE, CANNOT_CREATE. */
mr_status mr_h5_output_create(const char *path, mr_h5_output **out, mr_error *error);
hid_t mr_h5_output_id(const mr_h5_output *output);
/* The error of a write that failed so far, OK when none. */
mr_status mr_h5_output_check(const mr_h5_output *output, mr_error *error);
/* Writes everything, seals (file_seal.h), fsyncs, closes. On failure the file is removed. Frees `output` either way. */
mr_status mr_h5_output_close(mr_h5_output *output, mr_error *error);
/* Closes and removes the file. NULL is fine. */
void mr_h5_output_abandon(mr_h5_output *output);

/* Read-only. BAD_INPUT when it is not an HDF5 file or does not match its seal (file_seal.h). Close with H5Fclose. */
mr_status mr_h5_open(const char *path, hid_t *out, mr_error *error);
/* The same for a part, which must have a seal: only what this program wrote reaches libhdf5. */
mr_status mr_h5_open_sealed(const char *path, hid_t *out, mr_error *error);

/* Text attributes are variable-length UTF-8, numbers unsigned 64-bit: what h5py gives as str and int.
 * NULL is stored as the empty text. */
mr_status mr_h5_put_text(hid_t object, const char *name, const char *value, mr_error *error);
mr_status mr_h5_put_number(hid_t object, const char *name, uint64_t value, mr_error *error);
/* A text or number attribute as malloc'ed text; NULL when absent, of another type or out of memory. */
char *mr_h5_get_text(hid_t object, const char *name);
/* Every attribute that mr_h5_get_text can read, in the order they were written, until one visit returns false. */
typedef bool mr_h5_attribute_visitor(void *context, const char *name, const char *value);
void mr_h5_each_attribute(hid_t object, mr_h5_attribute_visitor *visit, void *context);

#endif
