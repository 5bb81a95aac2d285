/* saga_render.c - templates: values in their places */
#include "schemas/saga_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"

bool
busp_saga_token(const char **pointer, char *token, size_t size)
{
	const char *at = *pointer;
	size_t len = 0;
	if (*at != '/') {
		return false;
	}
	for (at++; *at != '\0' && *at != '/'; at++) {
		char c = *at;
		if (c == '~' && (at[1] == '0' || at[1] == '1')) {
			c = *++at == '0' ? '~' : '/';
		}
		if (len + 1 < size) {
			token[len++] = c;
		}
	}
	token[len] = '\0';
	*pointer = at;
	return true;
}

/* RFC 6901: digits without a leading zero. */
static const json_t *
item_of(const json_t *array, const char *token)
{
	char *end;
	if (*token < '0' || *token > '9' || (*token == '0' && token[1] != '\0')) {
		return NULL;
	}
	unsigned long index = strtoul(token, &end, 10);
	return *end == '\0' ? json_array_get(array, index) : NULL;
}

/* Borrowed; NULL if nothing is there. */
static const json_t *
value_at(const json_t *scope, const char *pointer)
{
	char token[256];
	while (scope != NULL && busp_saga_token(&pointer, token, sizeof(token))) {
		scope = json_is_array(scope) ? item_of(scope, token) :
					       json_object_get(scope, token);
	}
	return *pointer == '\0' ? scope : NULL;
}

static json_t *render(const json_t *template, const json_t *scope);

static json_t *
render_object(const json_t *template, const json_t *scope)
{
	json_t *object = json_object();
	const char *name;
	json_t *member;
	json_object_foreach((json_t *)template, name, member)
	{
		json_t *value = render(member, scope);
		if (value != NULL) {
			json_object_set_new(object, name, value);
		}
	}
	return object;
}

static json_t *
render_array(const json_t *template, const json_t *scope)
{
	json_t *array = json_array();
	size_t i;
	json_t *item;
	json_array_foreach(template, i, item)
	{
		json_t *value = render(item, scope);
		if (value != NULL) {
			json_array_append_new(array, value);
		}
	}
	return array;
}

/* New; NULL where a value is absent. As deep as a file may be, BUS_JSON_DEPTH_MAX. */
static json_t *
render(const json_t *template, const json_t *scope)
{
	const json_t *pointer = json_object_get(template, "$value");
	if (json_is_string(pointer)) {
		const json_t *value = value_at(scope, json_string_value(pointer));
		value = value != NULL ? value : json_object_get(template, "default");
		return json_deep_copy(value);
	}
	if (json_is_object(template)) {
		return render_object(template, scope);
	}
	return json_is_array(template) ? render_array(template, scope) :
					 json_deep_copy(template);
}

bus_status
bus_saga_render(const json_t *template, const json_t *scope, json_t **ret_json,
		bus_error *err)
{
	json_t *json = render(template, scope);
	if (json == NULL) {
		const char *pointer =
			json_string_value(json_object_get(template, "$value"));
		return bus_error_set(err, BUS_E_REJECT, "saga", 0, "%s has no value",
				     pointer != NULL ? pointer : "a template");
	}
	*ret_json = json;
	return BUS_OK;
}
