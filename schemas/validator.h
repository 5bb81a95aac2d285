/*
 * validator.h - JSON Schema 2020-12, compiled once per schema
 *
 * The only code that interprets schemas. Vocabularies: core, applicator, unevaluated,
 * validation, meta-data (read over), format-annotation and content (annotations only);
 * format is asserted where a schema is compiled with BUS_SCHEMA_FORMAT. A keyword that
 * is not one of them is refused when the schema is compiled, never ignored.
 */
#ifndef BUS_SCHEMAS_VALIDATOR_H
#define BUS_SCHEMAS_VALIDATOR_H

#include <jansson.h>

#include "core/status.h"
#include "core/str.h"

typedef struct bus_schema_set bus_schema_set; /* documents that may refer to each other */
typedef struct bus_schema bus_schema; /* one compiled schema; belongs to its set */

typedef enum bus_schema_flags {
	BUS_SCHEMA_FORMAT = 1u << 0, /* assert format */
	BUS_SCHEMA_ALLOW_UNKNOWN =
		1u << 1, /* the official suite only: it has such schemas */
} bus_schema_flags;

#define BUS_SCHEMA_ERRORS_MAX 8
#define BUS_POINTER_MAX 160

/* Where it failed and why; pointers are cut at their end when too long. */
typedef struct bus_schema_error {
	char instance_location[BUS_POINTER_MAX]; /* JSON Pointer into the instance */
	char keyword_location[BUS_POINTER_MAX];  /* JSON Pointer through the schema */
	char text[160];                          /* "must be >= 1" */
} bus_schema_error;

typedef struct bus_schema_report {
	size_t count; /* all failures; the first BUS_SCHEMA_ERRORS_MAX are kept */
	bus_schema_error errors[BUS_SCHEMA_ERRORS_MAX];
} bus_schema_report;

/* Returns new; NULL when memory is short. */
bus_schema_set *bus_schema_set_create(unsigned flags);
/* Frees its schemas too. NULL-safe. */
void bus_schema_set_destroy(bus_schema_set *set);

/**
 * bus_schema_set_add - make a document known under a URI, for $ref
 *
 * @uri: used if the document has no $id
 * @document: the set takes a copy of its own
 *
 * Errors: BUS_E_FATAL the document is no schema, or its URI is taken; nothing can be
 *	compiled from the set any more.
 */
BUS_MUST_CHECK bus_status bus_schema_set_add(bus_schema_set *set, bus_str uri,
					     json_t *document, bus_error *err);

/**
 * bus_schema_compile - a schema of the set, ready to validate
 *
 * @uri: of a document of the set, or a fragment of one
 * @ret_schema: borrowed, lives as long as the set
 *
 * Errors:  BUS_E_FATAL the schema is wrong, refers to nothing, or uses a keyword that is
 *	not supported; names the location. Nothing more comes out of the set then.
 * Threads: compiling: one; validating a compiled schema: any number.
 */
BUS_MUST_CHECK bus_status bus_schema_compile(bus_schema_set *set, bus_str uri,
					     const bus_schema **ret_schema,
					     bus_error *err);

/**
 * bus_schema_validate - does the instance satisfy the schema?
 *
 * @report: filled with the failures, or NULL when only the answer counts (faster)
 *
 * Errors: BUS_E_REJECT it does not (err: the first failure as one sentence);
 * BUS_E_FATAL memory. Regular expressions run under a match limit; one that hits it
 * rejects, and so does data that leads through more than 512 schemas at once.
 */
BUS_MUST_CHECK bus_status bus_schema_validate(const bus_schema *schema,
					      const json_t *instance,
					      bus_schema_report *report, bus_error *err);

#endif
