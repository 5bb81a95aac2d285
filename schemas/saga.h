/*
 * saga.h - saga definitions: data that says which steps, in which order, and how each is
 * taken back
 *
 * A definition is a JSON file, schemas/sagas/<name>.v<N>.json or one of the user's own in
 * the directory saga.definitions. Its form is schemas/sagas/definition.schema.json; what a
 * schema cannot say (types that exist, names that are unique, values that come from somewhere)
 * is checked here, and all findings are given at once.
 *
 * Values: in "subject" and "data" of an act, {"$value": "/input/image"} stands for the value at
 * that JSON Pointer of the scope {"input": the request's, "steps": {NAME: data of its success
 * fact}, "saga": {"id", "name"}}; with "default" for one that is absent. A member whose value is
 * absent without a default is left out.
 */
#ifndef BUS_SCHEMAS_SAGA_H
#define BUS_SCHEMAS_SAGA_H

#include "schemas/registry.h"

#define BUS_SAGA_STEPS_MAX 32
#define BUS_SAGA_TYPES_MAX 4

/* An action or a compensation: one event, and the facts that answer it. */
typedef struct bus_saga_act {
	const char *type;                            /* of the event */
	const char *topic;                           /* of its family */
	const json_t *subject;                       /* a template; becomes a text */
	const json_t *data;                          /* a template; becomes an object */
	const char *success[BUS_SAGA_TYPES_MAX + 1]; /* types, ended by NULL */
	const char *failure[BUS_SAGA_TYPES_MAX + 1];
	int64_t deadline_ms; /* of one attempt, > 0 */
	int32_t attempts;    /* budget, >= 1 */
	int64_t delay_ms;    /* before the second attempt; doubles up to delay_max_ms */
	int64_t delay_max_ms;
} bus_saga_act;

typedef struct bus_saga_step {
	const char *name; /* [a-z][a-z0-9-]*, unique */
	const char *title;
	int32_t stage; /* 0, 1, ...; steps of one stage run at the same time */
	bool pivot;    /* once it has succeeded the saga only goes forward */
	bool compensated;
	bus_saga_act action;
	bus_saga_act compensation; /* if compensated */
} bus_saga_step;

typedef struct bus_saga_definition {
	const char *name;
	int32_t version;
	const char *title;
	const char *file;           /* it came from */
	const char *digest;         /* SHA-256 of the file, hex */
	const bus_saga_step *steps; /* by stage */
	size_t step_count;
	int32_t stage_count;
	/* the file's content, and what its parts were compiled to; private */
	struct busp_saga_parts *parts;
} bus_saga_definition;

/* One thing that is wrong. */
typedef struct bus_saga_finding {
	char where[128]; /* JSON Pointer */
	char what[512];  /* a sentence: rule and what to do */
	bool warning;    /* it may be meant so */
} bus_saga_finding;

#define BUS_SAGA_FINDINGS_MAX 32

typedef struct bus_saga_report {
	bus_saga_finding findings[BUS_SAGA_FINDINGS_MAX];
	size_t count;
} bus_saga_report;

/**
 * bus_saga_parse - a definition of a file's text
 *
 * @registry: borrowed, outlives the definition
 * @ret_definition: new
 *
 * The report may hold warnings also when the answer is BUS_OK.
 *
 * Errors: BUS_E_REJECT with findings in the report.
 */
BUS_MUST_CHECK bus_status bus_saga_parse(bus_str text, const char *file,
					 const bus_registry *registry,
					 bus_saga_report *report,
					 bus_saga_definition **ret_definition,
					 bus_error *err);
void bus_saga_destroy(bus_saga_definition *definition);

/* Validates what a request gives as input. Errors: BUS_E_REJECT, what and where in err. */
BUS_MUST_CHECK bus_status bus_saga_check_input(const bus_saga_definition *definition,
					       const json_t *input, bus_error *err);

/**
 * bus_saga_render - a template with its values
 *
 * @ret_json: new
 * Errors: BUS_E_REJECT the template as a whole, or a subject, has no value.
 */
BUS_MUST_CHECK bus_status bus_saga_render(const json_t *template, const json_t *scope,
					  json_t **ret_json, bus_error *err);

/* ---- all that there are ---- */

typedef struct bus_saga_book bus_saga_book;

/**
 * bus_saga_book_create - the shipped definitions and those of a directory
 *
 * @directory: NULL or "": none
 *
 * Errors: BUS_E_FATAL a file is wrong (the first finding, and how many more), or two have one
 * name and version and differ.
 */
BUS_MUST_CHECK bus_status bus_saga_book_create(const char *directory,
					       const bus_registry *registry,
					       bus_saga_book **ret_book, bus_error *err);
void bus_saga_book_destroy(bus_saga_book *book);

/* version 0: the newest. NULL if there is none. */
const bus_saga_definition *bus_saga_book_find(const bus_saga_book *book, bus_str name,
					      int32_t version);
/* By name and version. */
const bus_saga_definition *const *bus_saga_book_all(const bus_saga_book *book,
						    size_t *ret_count);

#endif
