/*
 * saga_private.h - a definition while it is looked at; private to this room
 */
#ifndef BUSP_SCHEMAS_SAGA_H
#define BUSP_SCHEMAS_SAGA_H

#include "schemas/saga.h"

#define BUSP_SAGA_WHERE_MAX 128 /* of a pointer while it is built; longer ones are cut */

struct busp_saga_parts {
	json_t *root; /* texts of the definition point into it */
	bus_schema_set *set;
	const bus_schema *input;
	bus_saga_step *steps;
	char *file;
	char digest[65];
};

/* A step as it stands in the file; anything may be missing in it. */
typedef struct busp_saga_draft {
	const json_t *json;
	const char *name; /* NULL: it has none */
	int32_t stage;
	char where[BUSP_SAGA_WHERE_MAX];
} busp_saga_draft;

typedef struct busp_saga_lint {
	const bus_registry *registry;
	bus_saga_report *report;
	const json_t *root;
	busp_saga_draft steps[BUS_SAGA_STEPS_MAX];
	size_t step_count;
	bool crowded;  /* that there are too many has been said */
	size_t errors; /* findings that are not warnings, those without room too */
} busp_saga_lint;

typedef enum busp_saga_weight { BUSP_SAGA_ERROR, BUSP_SAGA_WARNING } busp_saga_weight;

void busp_saga_say(busp_saga_lint *lint, busp_saga_weight weight, const char *where,
		   const char *fmt, ...) BUS_PRINTF(4, 5);

/* The form of the file (sagas/definition.schema.json), and the steps that can be seen in it. */
BUS_MUST_CHECK bus_status busp_saga_check_form(busp_saga_lint *lint, bus_error *err);
/* Names, pivot, what must be taken back, durations, types. */
void busp_saga_check_steps(busp_saga_lint *lint);
void busp_saga_check_acts(busp_saga_lint *lint, const busp_saga_draft *step);
/* Where values come from, and whether data can be what its schema wants. */
void busp_saga_check_values(busp_saga_lint *lint, const busp_saga_draft *step,
			    bool compensation);

/* "10m" in milliseconds; 0 if it is none. */
int64_t busp_saga_duration(const json_t *text);
/* The act if it is an object. */
const json_t *busp_saga_act(const busp_saga_draft *step, bool compensation);
/* A file of sagas/ that is embedded; NULL if there is none. */
const struct bus_embedded *busp_saga_embedded(const char *name);

/* The next token of a JSON Pointer, unescaped into @token; false at its end. */
bool busp_saga_token(const char **pointer, char *token, size_t size);

#endif
