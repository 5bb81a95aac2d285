/*
 * catalogue.h - the table of families and types behind the registry; private to this room
 */
#ifndef BUSP_SCHEMAS_CATALOGUE_H
#define BUSP_SCHEMAS_CATALOGUE_H

#include <jansson.h>

#include "schemas/registry.h"

typedef struct busp_catalogue {
	bus_family *families;  /* with a topic, by name, ended by a zero row */
	bus_event_type *types; /* by type */
	json_t **documents;    /* of the same index; they hold the texts of the row */
	size_t count;
	char **texts; /* of files that are not embedded, and of their families */
	size_t text_count;
	size_t room; /* of types and documents */
} busp_catalogue;

/* The one in use; made of the embedded files by whoever asks first. Never NULL. */
const busp_catalogue *busp_catalogue_get(void);
/* Why it is not whole: a bug of ours. NULL if it is. */
const char *busp_catalogue_trouble(void);
/* One registry more, or less, that points into it. */
void busp_catalogue_hold(int by);

#endif
