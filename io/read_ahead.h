/* Reads inputs in order, the next ones already while one is being taken: several readers hide the time that opening many
 * files takes. Private to io/.
 *
 * Input pieces (input_pieces.h) are read each by one thread, into a slot of a ring. Records are taken from the slots in
 * order. Without threads the taker reads by itself, and so it does when it passes over records before its first one. */
#ifndef MR_IO_READ_AHEAD_H
#define MR_IO_READ_AHEAD_H

#include "io/input_list.h"

typedef struct mr_read_ahead mr_read_ahead;

/* `inputs` and what `options` points to are borrowed until destroy; path, name, id and position are filled in here.
 * `readers` 0 and 1: no threads. Records read ahead hold up to `bytes`, and one more a reader. */
mr_status mr_read_ahead_create(const mr_input_list *inputs, const mr_reader_options *options, size_t readers, size_t bytes, mr_read_ahead **out, mr_error *error);
/* Ends the threads; options->stop must be set when one may wait for a pipe. NULL is fine. */
void mr_read_ahead_destroy(mr_read_ahead *ahead);

/* The next record with its source fields. END behind the last; an error comes in its turn, behind the records before it.
 * CANCELLED soon after *options->stop. One taker at a time. */
mr_status mr_read_ahead_next(mr_read_ahead *ahead, mr_record **out, mr_error *error);

/* Passes over the next `count` records without parsing them, and sets *passed, also when it does not return OK: END when
 * there are fewer, otherwise as above. */
mr_status mr_read_ahead_pass(mr_read_ahead *ahead, uint64_t count, uint64_t *passed, mr_error *error);

/* Stored bytes read so far; from any thread. */
uint64_t mr_read_ahead_position(const mr_read_ahead *ahead);

#endif
