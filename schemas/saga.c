/*
 * saga.c - a definition out of a file
 *
 * DESIGN
 * A file is checked first and read afterwards. The checks take whatever they find: a file
 * with ten mistakes gets ten findings. Reading begins when none is left, so it asks nothing.
 */
#include "schemas/saga_private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/digest.h"
#include "core/json.h"

#define ATTEMPTS_DEFAULT 1
#define DELAY_DEFAULT_MS 1000
#define DELAY_MAX_DEFAULT_MS 60000
#define INPUT_URI "https://busline.io/saga/input"

void
busp_saga_say(busp_saga_lint *lint, busp_saga_weight weight, const char *where,
	      const char *fmt, ...)
{
	va_list args;
	lint->errors += weight == BUSP_SAGA_ERROR;
	if (lint->report->count == BUS_SAGA_FINDINGS_MAX) {
		return;
	}
	bus_saga_finding *row = &lint->report->findings[lint->report->count++];
	row->warning = weight == BUSP_SAGA_WARNING;
	snprintf(row->where, sizeof(row->where), "%.*s", (int)sizeof(row->where) - 1,
		 where);
	va_start(args, fmt);
	vsnprintf(row->what, sizeof(row->what), fmt, args);
	va_end(args);
}

int64_t
busp_saga_duration(const json_t *text)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
	const char *at = json_string_value(text);
	int64_t number = 0;
	if (at == NULL) {
		return 0;
	}
	for (int digits = 0; isdigit((unsigned char)*at) && digits < 9; at++, digits++) {
		number = number * 10 + (*at - '0');
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(at, units[i].unit) == 0) {
			return number * units[i].ms;
		}
	}
	return 0;
}

const json_t *
busp_saga_act(const busp_saga_draft *step, bool compensation)
{
	const json_t *act =
		json_object_get(step->json, compensation ? "compensation" : "action");
	return json_is_object(act) ? act : NULL;
}

/* The input's schema is compiled alone: it refers to nothing but itself. */
static bus_status
compile_input(busp_saga_lint *lint, struct busp_saga_parts *parts, bus_error *err)
{
	bus_error why = BUS_ERROR_INIT;
	json_t *input = json_object_get(lint->root, "input");
	parts->set = bus_schema_set_create(BUS_SCHEMA_FORMAT);
	if (parts->set == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "saga", 0, "out of memory");
	}
	if (!json_is_object(input)) {
		return BUS_OK; /* the form says so */
	}
	bus_str uri = bus_json_str(input, "$id");
	uri = uri.data != NULL ? uri : BUS_STR(INPUT_URI);
	bus_status status = bus_schema_set_add(parts->set, uri, input, &why);
	if (status == BUS_OK) {
		status = bus_schema_compile(parts->set, uri, &parts->input, &why);
	}
	if (status != BUS_OK) {
		busp_saga_say(lint, BUSP_SAGA_ERROR, "/input",
			      "is no schema that can be used: %s", why.text);
	}
	return BUS_OK;
}

static bus_status
check(busp_saga_lint *lint, struct busp_saga_parts *parts, bus_error *err)
{
	bus_status status = busp_saga_check_form(lint, err);
	if (status == BUS_OK) {
		status = compile_input(lint, parts, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	busp_saga_check_steps(lint);
	for (size_t i = 0; i < lint->step_count; i++) {
		busp_saga_check_acts(lint, &lint->steps[i]);
		busp_saga_check_values(lint, &lint->steps[i], false);
		busp_saga_check_values(lint, &lint->steps[i], true);
	}
	return BUS_OK;
}

/* ---- reading ---- */

static void
read_types(const json_t *list, const char *types[BUS_SAGA_TYPES_MAX + 1])
{
	size_t i;
	json_t *type;
	json_array_foreach(list, i, type)
	{
		types[i] = json_string_value(type);
	}
}

static void
read_act(const busp_saga_lint *lint, const json_t *json, bus_saga_act *act)
{
	const json_t *retry = json_object_get(json, "retry");
	const json_t *subject = json_object_get(json, "subject");
	int64_t delay = busp_saga_duration(json_object_get(retry, "delay"));
	int64_t delay_max = busp_saga_duration(json_object_get(retry, "max_delay"));
	const bus_event_type *type =
		bus_registry_find(lint->registry, bus_json_str(json, "type"));
	act->type = bus_json_str(json, "type").data;
	act->topic = type->family->topic;
	act->subject = subject != NULL ? subject : json_object_get(lint->root, "subject");
	act->data = json_object_get(json, "data");
	read_types(json_object_get(json, "success"), act->success);
	read_types(json_object_get(json, "failure"), act->failure);
	act->deadline_ms = busp_saga_duration(json_object_get(json, "deadline"));
	act->attempts = (int32_t)bus_json_int(retry, "attempts", ATTEMPTS_DEFAULT);
	act->delay_ms = delay > 0 ? delay : DELAY_DEFAULT_MS;
	act->delay_max_ms = delay_max > 0 ? delay_max : DELAY_MAX_DEFAULT_MS;
	if (act->delay_max_ms < act->delay_ms) {
		act->delay_max_ms = act->delay_ms;
	}
}

static bus_status
read_steps(const busp_saga_lint *lint, bus_saga_definition *definition, bus_error *err)
{
	bus_str pivot = bus_json_str(lint->root, "pivot");
	bus_saga_step *steps = calloc(lint->step_count, sizeof(*steps));
	if (steps == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "saga", 0, "out of memory");
	}
	for (size_t i = 0; i < lint->step_count; i++) {
		const busp_saga_draft *draft = &lint->steps[i];
		const json_t *compensation = busp_saga_act(draft, true);
		steps[i].name = draft->name;
		steps[i].title = bus_json_str(draft->json, "title").data;
		steps[i].stage = draft->stage;
		steps[i].pivot = bus_str_is(pivot, draft->name);
		read_act(lint, busp_saga_act(draft, false), &steps[i].action);
		if (compensation != NULL) {
			steps[i].compensated = true;
			read_act(lint, compensation, &steps[i].compensation);
		}
		definition->stage_count = draft->stage + 1;
	}
	definition->parts->steps = steps;
	definition->steps = steps;
	definition->step_count = lint->step_count;
	return BUS_OK;
}

static bus_status
read_definition(const busp_saga_lint *lint, bus_saga_definition *definition,
		bus_error *err)
{
	definition->name = bus_json_str(lint->root, "name").data;
	definition->version = (int32_t)bus_json_int(lint->root, "version", 0);
	definition->title = bus_json_str(lint->root, "title").data;
	definition->file = definition->parts->file;
	definition->digest = definition->parts->digest;
	return read_steps(lint, definition, err);
}

static bus_saga_definition *
definition_create(bus_str text, const char *file)
{
	bus_saga_definition *definition = calloc(1, sizeof(*definition));
	struct busp_saga_parts *parts = calloc(1, sizeof(*parts));
	char *name = strdup(file != NULL ? file : "");
	if (definition == NULL || parts == NULL || name == NULL) {
		free(definition);
		free(parts);
		free(name);
		return NULL;
	}
	bus_digest digest = bus_digest_of(text);
	for (size_t i = 0; i < BUS_DIGEST_BYTES; i++) {
		snprintf(parts->digest + 2 * i, 3, "%02x", digest.bytes[i]);
	}
	parts->file = name;
	definition->parts = parts;
	return definition;
}

/* Warnings may stand before it. */
static const bus_saga_finding *
first_error(const bus_saga_report *report)
{
	const bus_saga_finding *row = report->findings;
	while (row->warning && row < &report->findings[report->count - 1]) {
		row++;
	}
	return row;
}

static bus_status
parse_into(bus_str text, busp_saga_lint *lint, bus_saga_definition *definition,
	   bus_error *err)
{
	bus_error why = BUS_ERROR_INIT;
	struct busp_saga_parts *parts = definition->parts;
	if (bus_json_parse(text, &parts->root, &why) != BUS_OK) {
		busp_saga_say(lint, BUSP_SAGA_ERROR, "", "%s", why.text);
	} else {
		lint->root = parts->root;
		bus_status status = check(lint, parts, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	if (lint->errors > 0) {
		const bus_saga_finding *first = first_error(lint->report);
		return bus_error_set(err, BUS_E_REJECT, "saga", 0, "%s%s%s%s%s%s",
				     parts->file, *parts->file != '\0' ? ": " : "",
				     first->where, *first->where != '\0' ? ": " : "",
				     first->what, lint->errors > 1 ? " (and more)" : "");
	}
	return read_definition(lint, definition, err);
}

bus_status
bus_saga_parse(bus_str text, const char *file, const bus_registry *registry,
	       bus_saga_report *report, bus_saga_definition **ret_definition,
	       bus_error *err)
{
	report->count = 0;
	busp_saga_lint *lint = calloc(1, sizeof(*lint));
	bus_saga_definition *definition = definition_create(text, file);
	if (definition == NULL || lint == NULL) {
		free(lint);
		bus_saga_destroy(definition);
		return bus_error_set(err, BUS_E_FATAL, "saga", 0, "out of memory");
	}
	lint->registry = registry;
	lint->report = report;
	bus_status status = parse_into(text, lint, definition, err);
	free(lint);
	if (status != BUS_OK) {
		bus_saga_destroy(definition);
		return status;
	}
	*ret_definition = definition;
	return BUS_OK;
}

void
bus_saga_destroy(bus_saga_definition *definition)
{
	if (definition == NULL) {
		return;
	}
	struct busp_saga_parts *parts = definition->parts;
	json_decref(parts->root);
	bus_schema_set_destroy(parts->set);
	free(parts->steps);
	free(parts->file);
	free(parts);
	free(definition);
}

bus_status
bus_saga_check_input(const bus_saga_definition *definition, const json_t *input,
		     bus_error *err)
{
	bus_error why = BUS_ERROR_INIT;
	bus_status status =
		bus_schema_validate(definition->parts->input, input, NULL, &why);
	if (status == BUS_OK) {
		return BUS_OK;
	}
	return bus_error_set(err, status, "saga", 0, "input of %s.v%d: %s",
			     definition->name, (int)definition->version, why.text);
}
