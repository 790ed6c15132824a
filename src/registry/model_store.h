/* Where models lie on this machine. Never goes to the network: registry/fetch.h does.
 *
 *   home         $MILLRACE_HOME, else $XDG_DATA_HOME/millrace, else ~/.local/share/millrace
 *   models       home/models/<key>/ in Hugging Face layout
 *   catalogue    home/catalogue/<any>.yaml: entries of the user's own
 *   also read    a Hugging Face cache: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub
 *
 * Immutable once open; any thread may use it. */
#ifndef MR_REGISTRY_MODEL_STORE_H
#define MR_REGISTRY_MODEL_STORE_H

#include "registry/catalogue.h"

typedef struct mr_model_store mr_model_store;

/* Reads the environment and the catalogue; needs no folder to exist, nor a home to be known. CONFIG for a bad catalogue file. */
mr_status mr_model_store_open(mr_model_store **out, mr_error *error);
void mr_model_store_close(mr_model_store *store);

const mr_catalogue *mr_model_store_catalogue(const mr_model_store *store); /* borrowed */
const char *mr_model_store_models(const mr_model_store *store);            /* "home/models", NULL when no home is known; borrowed */
mr_status mr_model_store_check_home(const mr_model_store *store, mr_error *error); /* CONFIG when none is known */

/* A model as the user names it -> the path a model opens, malloc'ed. In this order: an existing directory or file;
 * home/models/<key>; the Hugging Face cache. MODEL_FILES_MISSING lists what is missing and the command that gets it;
 * NOT_FOUND names a near key. A key not in the catalogue is fine when its folder exists in one of the two places. */
mr_status mr_model_store_resolve(const mr_model_store *store, const char *model, char **path, mr_error *error);

/* The folder of a catalogue entry with all its files (by name and known size), malloc'ed; NULL when there is none
 * (or memory ran out). */
char *mr_model_store_locate(const mr_model_store *store, const mr_catalogue_entry *entry);

/* The catalogue's prompt `name` for a model as the user names it; NULL when there is none. Borrowed. */
const char *mr_model_store_prompt(const mr_model_store *store, const char *model, const char *name);

/* The entry, or NOT_FOUND naming a near key. */
mr_status mr_model_store_entry(const mr_model_store *store, const char *key, const mr_catalogue_entry **out, mr_error *error);

#endif
