/* saga_lint.c - what is wrong with a definition: form, steps, types */
#include "schemas/saga_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/embed.h"
#include "core/json.h"

#define DEADLINE_MAX_MS                                                                  \
	(720LL * 3600 * 1000) /* a month: a machine that takes longer is lost */
#define NAME_BYTES_MAX 256    /* of a type that may be meant */
#define FORM "sagas/definition.schema.json"

/* ---- form ---- */

/* What a pattern says, in words. */
static const char *
words_of(const char *where, const char *text)
{
	static const struct {
		const char *part, *words;
	} rows[] = {
		{ "/deadline",
		  "must be a number above zero and ms, s, m or h: 30s, 10m, 1h" },
		{ "/retry/delay",
		  "must be a number above zero and ms, s, m or h: 500ms, 5s" },
		{ "/retry/max_delay",
		  "must be a number above zero and ms, s, m or h: 30s, 1m" },
		{ "/type", "is no event type: io.busline.<family>.<fact>.v<N>" },
		{ "/success/", "is no event type: io.busline.<family>.<fact>.v<N>" },
		{ "/failure/", "is no event type: io.busline.<family>.<fact>.v<N>" },
		{ "/name",
		  "must be lower-case letters, digits and dashes, a letter first" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *found = strstr(where, rows[i].part);
		size_t len = strlen(rows[i].part);
		if (found != NULL &&
		    (found[len] == '\0' || rows[i].part[len - 1] == '/')) {
			return rows[i].words;
		}
	}
	return text;
}

static void
say_form(busp_saga_lint *lint, const bus_schema_report *report)
{
	size_t kept = report->count < BUS_SCHEMA_ERRORS_MAX ? report->count :
							      BUS_SCHEMA_ERRORS_MAX;
	for (size_t i = 0; i < kept; i++) {
		const bus_schema_error *row = &report->errors[i];
		const char *keyword = strrchr(row->keyword_location, '/');
		bool pattern = keyword != NULL && strcmp(keyword, "/pattern") == 0;
		busp_saga_say(lint, BUSP_SAGA_ERROR, row->instance_location, "%s",
			      pattern ? words_of(row->instance_location, row->text) :
					row->text);
	}
	if (kept < report->count) {
		busp_saga_say(lint, BUSP_SAGA_ERROR, "",
			      "%zu more of its members are not of the form",
			      report->count - kept);
	}
}

static void
see_step(busp_saga_lint *lint, const json_t *json, int32_t stage, const char *where)
{
	if (!json_is_object(json)) {
		return;
	}
	if (lint->step_count == BUS_SAGA_STEPS_MAX) {
		/* Said once; a list that is too long by itself is said by the form. */
		if (!lint->crowded &&
		    json_array_size(json_object_get(lint->root, "steps")) <=
			    BUS_SAGA_STEPS_MAX) {
			lint->crowded = true;
			busp_saga_say(
				lint, BUSP_SAGA_ERROR, where,
				"is one step more than %d; start a second saga instead",
				BUS_SAGA_STEPS_MAX);
		}
		return;
	}
	busp_saga_draft *step = &lint->steps[lint->step_count++];
	step->json = json;
	step->name = bus_json_str(json, "name").data;
	step->stage = stage;
	snprintf(step->where, sizeof(step->where), "%s", where);
}

static void
see_steps(busp_saga_lint *lint)
{
	char where[BUSP_SAGA_WHERE_MAX];
	int32_t stage = 0;
	size_t i, j;
	json_t *item, *inner;
	json_array_foreach(json_object_get(lint->root, "steps"), i, item)
	{
		const json_t *group = json_object_get(item, "parallel");
		if (group == NULL) {
			snprintf(where, sizeof(where), "/steps/%zu", i);
			see_step(lint, item, stage++, where);
			continue;
		}
		json_array_foreach(group, j, inner)
		{
			snprintf(where, sizeof(where), "/steps/%zu/parallel/%zu", i, j);
			see_step(lint, inner, stage, where);
		}
		stage++;
	}
}

bus_status
busp_saga_check_form(busp_saga_lint *lint, bus_error *err)
{
	const bus_embedded *file = busp_saga_embedded(FORM);
	bus_schema_set *set = bus_schema_set_create(BUS_SCHEMA_FORMAT);
	const bus_schema *schema = NULL;
	BUS_JSON_AUTO *form = NULL;
	if (file == NULL || set == NULL) {
		bus_schema_set_destroy(set);
		return bus_error_set(err, BUS_E_FATAL, "saga", 0,
				     "the form of definitions cannot be had");
	}
	bus_status status =
		bus_json_parse((bus_str){ file->data, file->len }, &form, err);
	if (status == BUS_OK) {
		status = bus_schema_set_add(set, BUS_STR(FORM), form, err);
	}
	if (status == BUS_OK) {
		status = bus_schema_compile(set, bus_json_str(form, "$id"), &schema, err);
	}
	if (status == BUS_OK) {
		bus_schema_report report = { 0 };
		status = bus_schema_validate(schema, lint->root, &report, NULL);
		if (status == BUS_E_REJECT) {
			say_form(lint, &report);
			status = BUS_OK;
		}
		see_steps(lint);
	}
	bus_schema_set_destroy(set);
	return status;
}

/* ---- steps ---- */

static const busp_saga_draft *
step_named(const busp_saga_lint *lint, const char *name, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (lint->steps[i].name != NULL && name != NULL &&
		    strcmp(lint->steps[i].name, name) == 0) {
			return &lint->steps[i];
		}
	}
	return NULL;
}

static void
check_names(busp_saga_lint *lint)
{
	for (size_t i = 0; i < lint->step_count; i++) {
		const busp_saga_draft *step = &lint->steps[i];
		const busp_saga_draft *other = step_named(lint, step->name, i);
		if (other != NULL) {
			busp_saga_say(lint, BUSP_SAGA_ERROR, step->where,
				      "the name \"%s\" is that of %s too; names are unique",
				      step->name, other->where);
		}
	}
}

/* A step that is done before the saga can only go forward must say how it is taken back. */
static void
check_compensation(busp_saga_lint *lint, const busp_saga_draft *step,
		   const busp_saga_draft *pivot)
{
	bool said = json_object_get(step->json, "compensation") != NULL;
	if (step == pivot || (pivot != NULL && step->stage > pivot->stage)) {
		return;
	}
	if (!said) {
		busp_saga_say(lint, BUSP_SAGA_ERROR, step->where,
			      "has no \"compensation\"; say null if nothing has to be "
			      "taken back");
	} else if (pivot != NULL && step->stage == pivot->stage &&
		   busp_saga_act(step, true) != NULL) {
		busp_saga_say(lint, BUSP_SAGA_ERROR, step->where,
			      "runs beside the pivot \"%s\" and has a compensation: once "
			      "the pivot is done it could not be taken back; put it into "
			      "a stage before",
			      pivot->name);
	}
}

void
busp_saga_check_steps(busp_saga_lint *lint)
{
	const char *name = bus_json_str(lint->root, "pivot").data;
	const busp_saga_draft *pivot = step_named(lint, name, lint->step_count);
	check_names(lint);
	if (name != NULL && pivot == NULL) {
		busp_saga_say(lint, BUSP_SAGA_ERROR, "/pivot",
			      "no step has the name \"%s\"", name);
		return; /* what must be taken back depends on it */
	}
	for (size_t i = 0; i < lint->step_count; i++) {
		check_compensation(lint, &lint->steps[i], pivot);
	}
}

/* ---- types ---- */

/* Levenshtein's distance; names are short. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[NAME_BYTES_MAX + 1];
	size_t len = strlen(b);
	for (size_t j = 0; j <= len; j++) {
		row[j] = j;
	}
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t change = diagonal + (a[i] != b[j]);
			diagonal = row[j + 1];
			size_t least = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
			row[j + 1] = change < least ? change : least;
		}
	}
	return row[len];
}

/* The known type that is most like this one; NULL if none is near. */
static const char *
nearest_type(bus_str type)
{
	size_t count, best = type.len / 3;
	const char *nearest = NULL;
	const bus_event_type *types = bus_registry_types(&count);
	for (size_t i = 0; i < count && type.len <= NAME_BYTES_MAX; i++) {
		if (strlen(types[i].type) > NAME_BYTES_MAX) {
			continue;
		}
		size_t far = distance(type.data, types[i].type);
		if (far < best) {
			best = far;
			nearest = types[i].type;
		}
	}
	return nearest;
}

/* NULL, and a finding, if there is none. A text that has not the form is said already. */
static const bus_event_type *
known_type(busp_saga_lint *lint, const json_t *json, const char *where)
{
	bus_str text = { json_string_value(json), json_string_length(json) };
	if (text.data == NULL || strncmp(text.data, "io.busline.", 11) != 0) {
		return NULL;
	}
	const bus_event_type *type = bus_registry_find(lint->registry, text);
	if (type == NULL) {
		const char *nearest = nearest_type(text);
		busp_saga_say(lint, BUSP_SAGA_ERROR, where,
			      "no event has the type %s%s%s%s", text.data,
			      nearest != NULL ? "; did you mean " : "",
			      nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
	} else if (type->family->topic == NULL) {
		busp_saga_say(lint, BUSP_SAGA_ERROR, where,
			      "%s comes on every topic; it is nothing a step can send or "
			      "wait for",
			      type->type);
		return NULL;
	}
	return type;
}

static bool
holds_text(const json_t *list, const char *text)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		if (json_is_string(item) && strcmp(json_string_value(item), text) == 0) {
			return true;
		}
	}
	return false;
}

/* Only facts of the topic that the action goes to can answer it: its worker sends them on. */
static void
check_answer(busp_saga_lint *lint, const bus_event_type *action, const json_t *json,
	     const char *where)
{
	static const char request[] = "requested";
	const bus_event_type *type = known_type(lint, json, where);
	if (type == NULL) {
		return;
	}
	const char *version = strrchr(type->type, '.');
	size_t len = (size_t)(version - type->type);
	if (action != NULL && type->family != action->family) {
		busp_saga_say(lint, BUSP_SAGA_ERROR, where,
			      "%s is of topic %s, the action of %s; an answer comes on the "
			      "action's topic",
			      type->type, type->family->topic, action->family->topic);
	}
	if (memcmp(version - strlen(request), request, strlen(request)) == 0 &&
	    len > strlen(request)) {
		busp_saga_say(lint, BUSP_SAGA_ERROR, where,
			      "%s is a request; only facts are answers", type->type);
	}
}

static void
check_act(busp_saga_lint *lint, const json_t *act, const char *where)
{
	static const char *const lists[] = { "success", "failure" };
	char inner[2 * BUSP_SAGA_WHERE_MAX];
	snprintf(inner, sizeof(inner), "%s/type", where);
	const bus_event_type *action =
		known_type(lint, json_object_get(act, "type"), inner);
	const json_t *failure = json_object_get(act, "failure");
	for (size_t k = 0; k < 2; k++) {
		size_t i;
		json_t *type;
		json_array_foreach(json_object_get(act, lists[k]), i, type)
		{
			snprintf(inner, sizeof(inner), "%s/%s/%zu", where, lists[k], i);
			check_answer(lint, action, type, inner);
			if (k == 0 && json_is_string(type) &&
			    holds_text(failure, json_string_value(type))) {
				busp_saga_say(lint, BUSP_SAGA_ERROR, inner,
					      "%s is a failure too; it can only be one",
					      json_string_value(type));
			}
		}
	}
}

static void
check_times(busp_saga_lint *lint, const json_t *act, const char *where)
{
	char inner[2 * BUSP_SAGA_WHERE_MAX];
	const json_t *retry = json_object_get(act, "retry");
	int64_t delay = busp_saga_duration(json_object_get(retry, "delay"));
	int64_t delay_max = busp_saga_duration(json_object_get(retry, "max_delay"));
	if (busp_saga_duration(json_object_get(act, "deadline")) > DEADLINE_MAX_MS) {
		snprintf(inner, sizeof(inner), "%s/deadline", where);
		busp_saga_say(lint, BUSP_SAGA_ERROR, inner, "is more than 720h");
	}
	if (delay > DEADLINE_MAX_MS || delay_max > DEADLINE_MAX_MS) {
		snprintf(inner, sizeof(inner), "%s/retry", where);
		busp_saga_say(lint, BUSP_SAGA_ERROR, inner, "waits more than 720h");
	}
	if (delay_max > 0 && delay_max < delay) {
		snprintf(inner, sizeof(inner), "%s/retry/max_delay", where);
		busp_saga_say(lint, BUSP_SAGA_ERROR, inner, "is less than \"delay\"");
	}
}

/* A fact that does not name its step must fit one only. */
static void
check_ambiguity(busp_saga_lint *lint, const busp_saga_draft *step)
{
	char where[2 * BUSP_SAGA_WHERE_MAX];
	const json_t *back = json_object_get(busp_saga_act(step, true), "success");
	size_t i;
	json_t *type;
	json_array_foreach(json_object_get(busp_saga_act(step, false), "success"), i, type)
	{
		const char *text = json_string_value(type);
		snprintf(where, sizeof(where), "%s/action/success/%zu", step->where, i);
		if (text != NULL && holds_text(back, text)) {
			busp_saga_say(lint, BUSP_SAGA_WARNING, where,
				      "%s ends the compensation, too; whoever answers must "
				      "copy sagastep",
				      text);
		}
		for (const busp_saga_draft *other = lint->steps; other < step; other++) {
			if (text != NULL && other->stage == step->stage &&
			    holds_text(json_object_get(busp_saga_act(other, false),
						       "success"),
				       text)) {
				busp_saga_say(
					lint, BUSP_SAGA_WARNING, where,
					"%s ends step \"%s\", too, which runs at the "
					"same time; whoever answers must copy sagastep",
					text, other->name != NULL ? other->name : "");
				break;
			}
		}
	}
}

void
busp_saga_check_acts(busp_saga_lint *lint, const busp_saga_draft *step)
{
	static const char *const names[] = { "action", "compensation" };
	for (size_t k = 0; k < 2; k++) {
		char where[BUSP_SAGA_WHERE_MAX];
		const json_t *act = busp_saga_act(step, k == 1);
		int len = snprintf(where, sizeof(where), "%s/%s", step->where, names[k]);
		if (act != NULL && len > 0) {
			check_act(lint, act, where);
			check_times(lint, act, where);
		}
	}
	check_ambiguity(lint, step);
}
