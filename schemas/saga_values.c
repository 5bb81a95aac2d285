/*
 * saga_values.c - where the values of acts come from, and whether they can be what is wanted
 *
 * DESIGN
 * Whether data fits its schema is the validator's to say, so it is asked: with data in which
 * each {"$value"} is an example of what the schema wants in its place. What it refuses then is
 * the file's own doing: members that are missing or unknown, literals of the wrong kind. A
 * second time it is asked without the values that may be absent when the step runs.
 */
#include "schemas/saga_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"

#define TOKEN_BYTES_MAX 256

/* An act whose values are looked at. */
typedef struct view {
	busp_saga_lint *lint;
	const busp_saga_draft *step;
	bool compensation;
	const json_t *target_root; /* schema of its data */
	bool without;              /* values that may be absent are left out */
	bool absent;               /* one was */
	bool guessed;              /* a value stands for one nobody knows an example of */
} view;

/* Where a value comes from. */
typedef struct origin {
	const json_t *schema; /* what is said about it; NULL: nothing */
	bool optional;        /* it may be absent */
	char kind[16];        /* its "type"; empty: nothing is said */
} origin;

/* {"$ref": "#/..."} within its document. */
static const json_t *
deref(const json_t *root, const json_t *node)
{
	char token[TOKEN_BYTES_MAX];
	for (int hops = 0; hops < 8; hops++) {
		const char *ref = bus_json_str(node, "$ref").data;
		if (ref == NULL || strncmp(ref, "#/", 2) != 0) {
			break;
		}
		const char *at = ref + 1;
		node = root;
		while (busp_saga_token(&at, token, sizeof(token))) {
			node = json_object_get(node, token);
		}
	}
	return node;
}

static bool
is_required(const json_t *node, const char *name)
{
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(node, "required"), i, item)
	{
		if (json_is_string(item) && strcmp(json_string_value(item), name) == 0) {
			return true;
		}
	}
	return false;
}

/* Says it what members there are? Otherwise any may be. */
static bool
is_closed(const json_t *node)
{
	static const char *const open[] = {
		"$ref", "$dynamicRef",      "allOf", "anyOf", "oneOf",
		"if",   "patternProperties"
	};
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		if (json_object_get(node, open[i]) != NULL &&
		    json_object_get(node, "additionalProperties") == NULL) {
			return false;
		}
	}
	const json_t *additional = json_object_get(node, "additionalProperties");
	return json_object_get(node, "properties") != NULL ?
		       !(json_is_true(additional) || json_is_object(additional)) :
		       json_is_false(additional);
}

typedef enum step_in { IN_KNOWN, IN_OPEN, IN_NOWHERE } step_in;

/* One token further into a schema. */
static step_in
descend(const json_t *root, origin *at, const char *token)
{
	const json_t *node = deref(root, at->schema);
	const json_t *member =
		json_object_get(json_object_get(node, "properties"), token);
	const json_t *items = json_object_get(node, "items");
	if (member != NULL) {
		at->optional = at->optional || !is_required(node, token);
		at->schema = member;
		return IN_KNOWN;
	}
	if (items != NULL && *token >= '0' && *token <= '9') {
		at->optional = true;
		at->schema = items;
		return IN_KNOWN;
	}
	if (is_closed(node) || bus_str_is(bus_json_str(node, "type"), "string") ||
	    bus_str_is(bus_json_str(node, "type"), "integer")) {
		return IN_NOWHERE;
	}
	at->schema = NULL;
	at->optional = true;
	return IN_OPEN;
}

/* Through the rest of a pointer; false if nothing can be there. */
static bool
descend_all(const json_t *root, origin *at, const char *pointer)
{
	char token[TOKEN_BYTES_MAX];
	while (busp_saga_token(&pointer, token, sizeof(token))) {
		switch (descend(root, at, token)) {
		case IN_NOWHERE:
			return false;
		case IN_OPEN:
			return true;
		case IN_KNOWN:
			break;
		}
	}
	at->schema = deref(root, at->schema);
	snprintf(at->kind, sizeof(at->kind), "%.*s",
		 BUS_STR_ARG(bus_json_str(at->schema, "type")));
	return true;
}

static bool
from_input(view *look, const char *pointer, const char *where, origin *ret)
{
	const json_t *input = json_object_get(look->lint->root, "input");
	const char *rest = pointer + strlen("/input");
	*ret = (origin){ .schema = input };
	if (descend_all(input, ret, rest)) {
		return true;
	}
	busp_saga_say(look->lint, BUSP_SAGA_ERROR, where,
		      "the schema of the input has no %s", rest);
	return false;
}

/* The fact's schema is read again where it is needed: definitions are read once. */
static bool
in_fact(view *look, const json_t *type, const char *rest, origin *ret)
{
	const bus_event_type *fact =
		bus_registry_find(look->lint->registry,
				  (bus_str){ json_string_value(type),
					     json_string_length(type) });
	*ret = (origin){ .schema = NULL };
	if (fact == NULL) {
		return true; /* said already */
	}
	BUS_JSON_AUTO *schema = json_loads(fact->schema_text, 0, NULL);
	ret->schema = schema;
	bool there = descend_all(schema, ret, rest);
	ret->schema = NULL; /* ends with the document */
	return there;
}

/* The value is there if each fact that ends the step must have it. */
static bool
from_facts(view *look, const busp_saga_draft *from, const char *rest, const char *where,
	   origin *ret)
{
	const json_t *types = json_object_get(busp_saga_act(from, false), "success");
	bool anywhere = json_array_size(types) == 0;
	*ret = (origin){ .optional = from == look->step };
	size_t i;
	json_t *type;
	json_array_foreach(types, i, type)
	{
		origin one;
		bool there = in_fact(look, type, rest, &one);
		anywhere = anywhere || there;
		ret->optional = ret->optional || !there || one.optional;
		if (there) {
			memcpy(ret->kind, one.kind, sizeof(ret->kind));
		}
	}
	if (!anywhere) {
		busp_saga_say(look->lint, BUSP_SAGA_ERROR, where,
			      "no fact that ends step \"%s\" has %s", from->name, rest);
	}
	return anywhere;
}

static bool
from_step(view *look, const char *pointer, const char *where, origin *ret)
{
	char name[TOKEN_BYTES_MAX] = "";
	const char *rest = pointer + strlen("/steps");
	const busp_saga_draft *from = NULL;
	busp_saga_token(&rest, name, sizeof(name));
	for (size_t i = 0; i < look->lint->step_count; i++) {
		const busp_saga_draft *step = &look->lint->steps[i];
		if (step->name != NULL && strcmp(step->name, name) == 0) {
			from = step;
			break;
		}
	}
	if (from == NULL) {
		busp_saga_say(look->lint, BUSP_SAGA_ERROR, where,
			      "no step has the name \"%s\"", name);
		return false;
	}
	bool own = from == look->step;
	if (from->stage > look->step->stage ||
	    (from->stage == look->step->stage && !(own && look->compensation))) {
		busp_saga_say(look->lint, BUSP_SAGA_ERROR, where,
			      "step \"%s\" %s; values come from stages before", name,
			      own                              ? "is this one" :
			      from->stage == look->step->stage ? "runs at the same time" :
								 "comes later");
		return false;
	}
	return from_facts(look, from, rest, where, ret);
}

static bool
begins(const char *pointer, const char *with)
{
	size_t len = strlen(with);
	return strncmp(pointer, with, len) == 0 &&
	       (pointer[len] == '\0' || pointer[len] == '/');
}

/* False, and a finding, if the pointer leads nowhere. */
static bool
origin_of(view *look, const json_t *value, const char *where, origin *ret)
{
	const char *pointer = json_string_value(json_object_get(value, "$value"));
	if (begins(pointer, "/input")) {
		return from_input(look, pointer, where, ret);
	}
	if (begins(pointer, "/steps") && pointer[strlen("/steps")] != '\0') {
		return from_step(look, pointer, where, ret);
	}
	*ret = (origin){ .schema = NULL };
	if (strcmp(pointer, "/saga/id") == 0 || strcmp(pointer, "/saga/name") == 0) {
		return true;
	}
	busp_saga_say(look->lint, BUSP_SAGA_ERROR, where,
		      "%s is none of /input/..., /steps/NAME/..., /saga/id, /saga/name",
		      *pointer != '\0' ? pointer : "\"\"");
	return false;
}

static bool
is_value(const json_t *node)
{
	return json_is_string(json_object_get(node, "$value"));
}

/* ---- kinds ---- */

/* A kind that is said and is another than the one wanted. */
static void
check_kind(view *look, const origin *from, const json_t *wanted, const char *where)
{
	bus_str has = bus_str_from(from->kind);
	bus_str wants = bus_json_str(wanted, "type");
	bool integer = bus_str_is(has, "integer") && bus_str_is(wants, "number");
	if (has.len > 0 && wants.data != NULL && !bus_str_eq(has, wants) && !integer) {
		busp_saga_say(look->lint, BUSP_SAGA_ERROR, where,
			      "the value is of type %.*s, wanted is %.*s",
			      BUS_STR_ARG(has), BUS_STR_ARG(wants));
	}
}

static const json_t *
target_child(const view *look, const json_t *target, const char *member)
{
	const json_t *node = deref(look->target_root, target);
	const json_t *child =
		member != NULL ?
			json_object_get(json_object_get(node, "properties"), member) :
			json_object_get(node, "items");
	if (child == NULL && member != NULL) {
		child = json_object_get(node, "additionalProperties");
	}
	return deref(look->target_root, json_is_object(child) ? child : NULL);
}

/* Every pointer of a template, with what is wanted in its place. */
static void
check_pointers(view *look, const json_t *node, const json_t *target, const char *where)
{
	char inner[2 * BUSP_SAGA_WHERE_MAX];
	const char *name;
	json_t *child;
	size_t i;
	if (is_value(node)) {
		origin from;
		if (origin_of(look, node, where, &from)) {
			check_kind(look, &from, target, where);
		}
		return;
	}
	if (json_object_get(node, "$value") != NULL) {
		busp_saga_say(look->lint, BUSP_SAGA_ERROR, where,
			      "\"$value\" must be a JSON Pointer");
		return;
	}
	json_object_foreach((json_t *)node, name, child)
	{
		snprintf(inner, sizeof(inner), "%s/%s", where, name);
		check_pointers(look, child, target_child(look, target, name), inner);
	}
	json_array_foreach(node, i, child)
	{
		snprintf(inner, sizeof(inner), "%s/%zu", where, i);
		check_pointers(look, child, target_child(look, target, NULL), inner);
	}
}

/* ---- samples ---- */

/* New; something that fits where the value goes. */
static json_t *
example_of(view *look, const json_t *target)
{
	json_t *found = json_object_get(target, "const");
	if (found == NULL) {
		found = json_array_get(json_object_get(target, "enum"), 0);
	}
	if (found == NULL) {
		found = json_array_get(json_object_get(target, "examples"), 0);
	}
	look->guessed = look->guessed || found == NULL;
	return found != NULL ? json_deep_copy(found) : json_null();
}

static bool
may_be_absent(view *look, const json_t *value)
{
	/* Its findings were made when the pointers were checked. */
	bus_saga_report unheard = { 0 };
	busp_saga_lint *lint = look->lint;
	bus_saga_report *heard = lint->report;
	size_t errors = lint->errors;
	origin from = { .optional = false };
	lint->report = &unheard;
	bool there = origin_of(look, value, "", &from);
	lint->report = heard;
	lint->errors = errors;
	return there && from.optional;
}

/* New; NULL where it would be left out. */
static json_t *
sample(view *look, const json_t *node, const json_t *target)
{
	const char *name;
	json_t *child;
	size_t i;
	if (is_value(node)) {
		if (look->without && may_be_absent(look, node)) {
			look->absent = true;
			return json_deep_copy(json_object_get(node, "default"));
		}
		return example_of(look, target);
	}
	if (json_is_object(node)) {
		json_t *object = json_object();
		json_object_foreach((json_t *)node, name, child)
		{
			json_t *value =
				sample(look, child, target_child(look, target, name));
			if (value != NULL) {
				json_object_set_new(object, name, value);
			}
		}
		return object;
	}
	if (json_is_array(node)) {
		json_t *array = json_array();
		json_array_foreach(node, i, child)
		{
			json_t *value =
				sample(look, child, target_child(look, target, NULL));
			if (value != NULL) {
				json_array_append_new(array, value);
			}
		}
		return array;
	}
	return json_deep_copy(node);
}

/* Where an example had to be guessed, only what is there and what is not can be told. */
static bool
counts(const view *look, const bus_schema_error *row)
{
	const char *keyword = strrchr(row->keyword_location, '/');
	return !look->guessed ||
	       (keyword != NULL && (strcmp(keyword, "/required") == 0 ||
				    strcmp(keyword, "/additionalProperties") == 0));
}

/* False, and findings, if the schema refuses what the template makes. */
static bool
try_sample(view *look, const bus_event_type *type, const json_t *template,
	   const char *where)
{
	bool good = true;
	bus_cause cause;
	bus_schema_report report = { 0 };
	char inner[3 * BUSP_SAGA_WHERE_MAX];
	look->absent = look->guessed = false;
	bus_event event = {
		.type = bus_str_from(type->type),
		.structured = true,
		.data_json = sample(look, template, look->target_root),
	};
	bus_status status = bus_registry_validate(look->lint->registry,
						  bus_str_from(type->family->topic),
						  &event, &report, &cause, NULL);
	size_t kept = report.count < BUS_SCHEMA_ERRORS_MAX ? report.count :
							     BUS_SCHEMA_ERRORS_MAX;
	for (size_t i = 0; status == BUS_E_REJECT && i < kept; i++) {
		const bus_schema_error *row = &report.errors[i];
		if (!counts(look, row) || (look->without && !look->absent)) {
			continue;
		}
		good = false;
		snprintf(inner, sizeof(inner), "%s%s", where, row->instance_location);
		if (look->without) {
			busp_saga_say(look->lint, BUSP_SAGA_ERROR, inner,
				      "%s where a value is absent that may be; require it "
				      "in the input or give a \"default\"",
				      row->text);
		} else {
			busp_saga_say(look->lint, BUSP_SAGA_ERROR, inner, "%s: %s",
				      type->type, row->text);
		}
	}
	bus_event_fini(&event);
	return good;
}

static void
check_subject(view *look, const json_t *act, const char *where)
{
	static const char text[] = "{\"type\":\"string\"}";
	const json_t *own = json_object_get(act, "subject");
	const json_t *subject =
		own != NULL ? own : json_object_get(look->lint->root, "subject");
	char inner[3 * BUSP_SAGA_WHERE_MAX];
	snprintf(inner, sizeof(inner), "%s/subject", own != NULL ? where : "");
	if (subject == NULL) {
		busp_saga_say(look->lint, BUSP_SAGA_ERROR, where,
			      "has no \"subject\", and the definition has none for all");
	} else if (is_value(subject) &&
		   (own != NULL ||
		    (look->step == look->lint->steps && !look->compensation))) {
		/* That of the definition is said once, as the first act sees it. */
		BUS_JSON_AUTO *wanted = json_loads(text, 0, NULL);
		size_t before = look->lint->errors;
		check_pointers(look, subject, wanted, inner);
		if (look->lint->errors == before && may_be_absent(look, subject) &&
		    !json_is_string(json_object_get(subject, "default"))) {
			busp_saga_say(look->lint, BUSP_SAGA_ERROR, inner,
				      "may be absent; require it in the input or give a "
				      "\"default\"");
		}
	}
}

void
busp_saga_check_values(busp_saga_lint *lint, const busp_saga_draft *step,
		       bool compensation)
{
	const json_t *act = busp_saga_act(step, compensation);
	const json_t *data = json_object_get(act, "data");
	view look = { .lint = lint, .step = step, .compensation = compensation };
	char where[2 * BUSP_SAGA_WHERE_MAX];
	if (act == NULL) {
		return;
	}
	snprintf(where, sizeof(where), "%s/%s", step->where,
		 compensation ? "compensation" : "action");
	check_subject(&look, act, where);
	const bus_event_type *type =
		bus_registry_find(lint->registry, bus_json_str(act, "type"));
	if (type == NULL || type->family->topic == NULL || !json_is_object(data)) {
		return; /* said already */
	}
	BUS_JSON_AUTO *target = json_loads(type->schema_text, 0, NULL);
	size_t before = lint->errors;
	snprintf(where, sizeof(where), "%s/%s/data", step->where,
		 compensation ? "compensation" : "action");
	look.target_root = target;
	check_pointers(&look, data, target, where);
	if (lint->errors == before && try_sample(&look, type, data, where)) {
		look.without = true;
		(void)try_sample(&look, type, data, where);
	}
}
