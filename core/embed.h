/*
 * embed.h - files of the tree that the build puts into the binary (cmake/embed.cmake)
 */
#ifndef BUS_CORE_EMBED_H
#define BUS_CORE_EMBED_H

#include <stddef.h>

typedef struct bus_embedded {
	const char *name; /* path below its room, "queries/ledger_insert.sql" */
	const char *data; /* NUL-terminated */
	size_t len;
} bus_embedded;

#endif
