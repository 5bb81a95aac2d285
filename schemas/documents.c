/*
 * documents.c - the schemas of a set, found by URI
 *
 * A document is walked once, along the keywords that hold subschemas and no others: an
 * $id inside enum, const or an unknown keyword is data.
 */
#include "schemas/program.h"

#include <ctype.h>

static const struct {
	const char *uri;
	busp_vocabulary bit;
} vocabularies[] = {
	{ "https://json-schema.org/draft/2020-12/vocab/core", BUSP_VOCAB_CORE },
	{ "https://json-schema.org/draft/2020-12/vocab/applicator",
	  BUSP_VOCAB_APPLICATOR },
	{ "https://json-schema.org/draft/2020-12/vocab/unevaluated",
	  BUSP_VOCAB_UNEVALUATED },
	{ "https://json-schema.org/draft/2020-12/vocab/validation",
	  BUSP_VOCAB_VALIDATION },
	{ "https://json-schema.org/draft/2020-12/vocab/meta-data", BUSP_VOCAB_META_DATA },
	{ "https://json-schema.org/draft/2020-12/vocab/format-annotation",
	  BUSP_VOCAB_FORMAT_ANNOTATION },
	{ "https://json-schema.org/draft/2020-12/vocab/format-assertion",
	  BUSP_VOCAB_FORMAT_ASSERTION },
	{ "https://json-schema.org/draft/2020-12/vocab/content", BUSP_VOCAB_CONTENT },
};

/* The walk through one document. */
typedef struct walk {
	bus_schema_set *set;
	bus_str uri; /* the document's */
	bus_buf pointer;
	unsigned depth;
	bus_error *err;
} walk;

static bus_status walk_schema(walk *w, const json_t *json, busp_resource *parent);

static bus_status
walk_fail(walk *w, const char *what)
{
	return bus_error_set(w->err, BUS_E_FATAL, "schema", 0, "%.*s#%.*s: %s",
			     BUS_STR_ARG(w->uri), BUS_STR_ARG(bus_buf_view(&w->pointer)),
			     what);
}

static busp_place **
place_slot(const bus_schema_set *set, const json_t *json)
{
	uintptr_t bits = (uintptr_t)json;
	size_t slot = (bits >> 4 ^ bits >> 14) % BUSP_PLACE_SLOTS;
	return (busp_place **)&set->places[slot];
}

busp_place *
busp_place_find(const bus_schema_set *set, const json_t *json)
{
	busp_place *place = *place_slot(set, json);
	while (place != NULL && place->json != json) {
		place = place->next;
	}
	return place;
}

static busp_place *
place_add(walk *w, const json_t *json, busp_resource *resource)
{
	busp_place **slot = place_slot(w->set, json);
	busp_place *place = bus_arena_alloc(w->set->arena, sizeof(*place));
	place->json = json;
	place->resource = resource;
	place->pointer = bus_arena_str(w->set->arena, bus_buf_view(&w->pointer));
	place->next = *slot;
	*slot = place;
	return place;
}

busp_resource *
busp_resource_find(const bus_schema_set *set, bus_str uri)
{
	for (const busp_name *name = set->names; name != NULL; name = name->next) {
		if (bus_str_eq(name->uri, uri)) {
			return name->resource;
		}
	}
	return NULL;
}

/* False if the URI is taken by another. */
static bool
resource_name(bus_schema_set *set, busp_resource *resource, bus_str uri)
{
	const busp_resource *known = busp_resource_find(set, uri);
	if (known != NULL) {
		return known == resource;
	}
	busp_name *name = bus_arena_alloc(set->arena, sizeof(*name));
	name->uri = uri;
	name->resource = resource;
	name->next = set->names;
	set->names = name;
	return true;
}

static bus_status
resource_add(walk *w, const json_t *json, busp_resource *parent,
	     busp_resource **ret_resource)
{
	busp_resource *resource = bus_arena_alloc(w->set->arena, sizeof(*resource));
	const json_t *id = json_object_get(json, "$id");
	BUS_BUF_AUTO uri = { 0 };

	resource->json = json;
	resource->parent = parent;
	if (id != NULL && !json_is_string(id)) {
		return walk_fail(w, "$id must be a string");
	}
	bus_str text = id != NULL ? bus_str_from(json_string_value(id)) : BUS_STR("");
	if (busp_uri_split(text).fragment.len > 0) {
		return walk_fail(w, "$id must not have a fragment");
	}
	busp_uri_resolve(parent != NULL ? parent->uri : w->uri, text, &uri);
	resource->uri = bus_arena_str(w->set->arena, bus_buf_view(&uri));
	if (!resource_name(w->set, resource, resource->uri)) {
		return walk_fail(w, "its URI is that of another schema of the set");
	}
	if (parent == NULL && !resource_name(w->set, resource, w->uri)) {
		return walk_fail(w, "a document of that URI is known already");
	}
	*ret_resource = resource;
	return BUS_OK;
}

static bool
is_anchor_name(bus_str name)
{
	if (name.len == 0 ||
	    !(isalpha((unsigned char)name.data[0]) || name.data[0] == '_')) {
		return false;
	}
	for (size_t i = 1; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];
		if (!isalnum(c) && c != '-' && c != '_' && c != '.') {
			return false;
		}
	}
	return true;
}

static bus_status
anchor_add(walk *w, busp_place *place, const char *keyword)
{
	const json_t *value = json_object_get(place->json, keyword);
	if (value == NULL) {
		return BUS_OK;
	}
	bus_str name = bus_str_from(json_string_value(value));
	if (!is_anchor_name(name)) {
		return walk_fail(w, "an anchor is a name as in XML, without a colon");
	}
	bool dynamic = strcmp(keyword, "$dynamicAnchor") == 0;
	for (const busp_anchor *a = place->resource->anchors; a != NULL; a = a->next) {
		if (bus_str_eq(a->name, name) && a->place != place) {
			return walk_fail(w, "an anchor of that name is in the resource");
		}
	}
	busp_anchor *anchor = bus_arena_alloc(w->set->arena, sizeof(*anchor));
	*anchor = (busp_anchor){ name, place, dynamic, place->resource->anchors };
	place->resource->anchors = anchor;
	return BUS_OK;
}

/* Appends a reference token; the caller cuts the pointer back. */
static void
pointer_push(bus_buf *pointer, bus_str token)
{
	bus_buf_byte(pointer, '/');
	for (size_t i = 0; i < token.len; i++) {
		if (token.data[i] == '~') {
			bus_buf_cstr(pointer, "~0");
		} else if (token.data[i] == '/') {
			bus_buf_cstr(pointer, "~1");
		} else {
			bus_buf_byte(pointer, (uint8_t)token.data[i]);
		}
	}
}

static bus_status
walk_list(walk *w, const json_t *list, busp_resource *resource)
{
	if (!json_is_array(list)) {
		return walk_fail(w, "must be a list of schemas");
	}
	bus_status status = BUS_OK;
	size_t len = w->pointer.len;
	for (size_t i = 0; i < json_array_size(list) && status == BUS_OK; i++) {
		bus_buf_printf(&w->pointer, "/%zu", i);
		status = walk_schema(w, json_array_get(list, i), resource);
		w->pointer.len = len;
	}
	return status;
}

static bus_status
walk_map(walk *w, const json_t *map, busp_resource *resource)
{
	if (!json_is_object(map)) {
		return walk_fail(w, "must be an object of schemas");
	}
	bus_status status = BUS_OK;
	size_t len = w->pointer.len;
	const char *name;
	size_t name_len;
	json_t *value;
	json_object_keylen_foreach((json_t *)map, name, name_len, value)
	{
		pointer_push(&w->pointer, (bus_str){ name, name_len });
		status = walk_schema(w, value, resource);
		w->pointer.len = len;
		if (status != BUS_OK) {
			break;
		}
	}
	return status;
}

static bus_status
walk_children(walk *w, const json_t *json, busp_resource *resource)
{
	bus_status status = BUS_OK;
	size_t len = w->pointer.len;
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)json, name, value)
	{
		const busp_keyword *keyword = busp_keyword_find(name);
		if (keyword == NULL || keyword->shape == BUSP_SHAPE_NONE) {
			continue;
		}
		pointer_push(&w->pointer, bus_str_from(name));
		switch (keyword->shape) {
		case BUSP_SHAPE_SCHEMA:
			status = walk_schema(w, value, resource);
			break;
		case BUSP_SHAPE_LIST:
			status = walk_list(w, value, resource);
			break;
		case BUSP_SHAPE_MAP:
			status = walk_map(w, value, resource);
			break;
		case BUSP_SHAPE_NONE:
			break;
		}
		w->pointer.len = len;
		if (status != BUS_OK) {
			break;
		}
	}
	return status;
}

/* $schema: of a resource's root only. */
static bus_status
walk_dialect(walk *w, const json_t *json, busp_resource *resource)
{
	const json_t *dialect = json_object_get(json, "$schema");
	if (dialect == NULL) {
		return BUS_OK;
	}
	if (!json_is_string(dialect)) {
		return walk_fail(w, "$schema must be a string");
	}
	if (resource->json != json) {
		return walk_fail(w, "$schema belongs at the root of a resource");
	}
	resource->dialect = bus_str_from(json_string_value(dialect));
	return BUS_OK;
}

static bus_status
walk_schema(walk *w, const json_t *json, busp_resource *parent)
{
	bus_status status = BUS_OK;
	if (json_is_boolean(json)) {
		return BUS_OK;
	}
	if (!json_is_object(json)) {
		return walk_fail(w, "a schema is an object, true or false");
	}
	if (++w->depth > BUSP_DOCUMENT_DEPTH_MAX) {
		return walk_fail(w, "nested too deeply");
	}
	busp_resource *resource = parent;
	if (parent == NULL || json_object_get(json, "$id") != NULL) {
		status = resource_add(w, json, parent, &resource);
		if (status != BUS_OK) {
			return status;
		}
	}
	busp_place *place = place_add(w, json, resource);
	if (resource->json == json) {
		resource->root = place;
	}
	status = walk_dialect(w, json, resource);
	if (status == BUS_OK) {
		status = anchor_add(w, place, "$anchor");
	}
	if (status == BUS_OK) {
		status = anchor_add(w, place, "$dynamicAnchor");
	}
	if (status == BUS_OK) {
		status = walk_children(w, json, resource);
	}
	w->depth--;
	return status;
}

bus_status
busp_documents_add(bus_schema_set *set, bus_str uri, const json_t *document,
		   bus_error *err)
{
	walk w = { .set = set, .err = err };
	BUS_BUF_AUTO absolute = { 0 };
	json_t *copy = json_deep_copy(document);
	if (copy == NULL || json_array_append_new(set->documents, copy) != 0) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0,
				     "%.*s: no memory for its copy", BUS_STR_ARG(uri));
	}
	busp_uri_resolve(BUS_STR(""), uri, &absolute);
	w.uri = bus_arena_str(set->arena, bus_buf_view(&absolute));
	bus_status status;
	if (json_is_boolean(copy)) {
		busp_resource *resource;
		status = resource_add(&w, copy, NULL, &resource);
	} else {
		status = walk_schema(&w, copy, NULL);
	}
	bus_buf_fini(&w.pointer);
	return status;
}

/* Undoes ~0 and ~1; false if a ~ is followed by something else. */
static bool
token_unescape(bus_str token, bus_buf *buf)
{
	bus_buf_clear(buf);
	for (size_t i = 0; i < token.len; i++) {
		char c = token.data[i];
		if (c == '~') {
			if (++i == token.len ||
			    (token.data[i] != '0' && token.data[i] != '1')) {
				return false;
			}
			c = token.data[i] == '0' ? '~' : '/';
		}
		bus_buf_byte(buf, (uint8_t)c);
	}
	return true;
}

static const json_t *
array_at(const json_t *array, bus_str token)
{
	size_t index = 0;
	if (token.len == 0 || token.len > 9 || (token.len > 1 && token.data[0] == '0')) {
		return NULL;
	}
	for (size_t i = 0; i < token.len; i++) {
		if (!isdigit((unsigned char)token.data[i])) {
			return NULL;
		}
		index = index * 10 + (size_t)(token.data[i] - '0');
	}
	return json_array_get(array, index);
}

/* Follows a JSON Pointer; *resource becomes that of the innermost schema passed. */
static const json_t *
follow(bus_schema_set *set, const json_t *json, bus_str pointer, busp_resource **resource)
{
	BUS_BUF_AUTO token = { 0 };
	size_t i = 0;
	while (json != NULL && i < pointer.len) {
		size_t start = ++i; /* past the slash */
		while (i < pointer.len && pointer.data[i] != '/') {
			i++;
		}
		if (!token_unescape((bus_str){ pointer.data + start, i - start },
				    &token)) {
			return NULL;
		}
		bus_str name = bus_buf_view(&token);
		json = json_is_array(json) ? array_at(json, name) :
					     json_object_getn(json, name.data, name.len);
		const busp_place *place =
			json != NULL ? busp_place_find(set, json) : NULL;
		if (place != NULL) {
			*resource = place->resource;
		}
	}
	return json;
}

/* A schema where none is expected: below a keyword that is not known. */
static bus_status
index_stray(bus_schema_set *set, const json_t *json, busp_resource *resource,
	    bus_str pointer, busp_target *target, bus_error *err)
{
	if ((set->flags & BUS_SCHEMA_ALLOW_UNKNOWN) == 0 || !json_is_object(json)) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0,
				     "%.*s#%.*s: there is no schema at that place",
				     BUS_STR_ARG(resource->uri), BUS_STR_ARG(pointer));
	}
	walk w = { .set = set, .err = err, .uri = resource->uri };
	bus_buf_str(&w.pointer, pointer);
	bus_status status = walk_schema(&w, json, resource);
	bus_buf_fini(&w.pointer);
	target->place = busp_place_find(set, json);
	return status;
}

static bus_status
find_fragment(bus_schema_set *set, busp_resource *resource, bus_str fragment,
	      busp_target *target, bus_error *err)
{
	if (fragment.len == 0 || fragment.data[0] == '/') {
		busp_resource *inner = resource;
		target->json = follow(set, resource->json, fragment, &inner);
		if (target->json == NULL || json_is_boolean(target->json)) {
			return BUS_OK;
		}
		target->place = busp_place_find(set, target->json);
		return target->place != NULL ? BUS_OK :
					       index_stray(set, target->json, inner,
							   fragment, target, err);
	}
	for (const busp_anchor *a = resource->anchors; a != NULL; a = a->next) {
		/* A name that is both is the dynamic one: it can be overridden. */
		if (bus_str_eq(a->name, fragment) &&
		    (target->anchor == NULL || !target->anchor->dynamic)) {
			*target = (busp_target){ a->place->json, a->place, a };
		}
	}
	return BUS_OK;
}

bus_status
busp_documents_find(bus_schema_set *set, bus_str base, bus_str uri,
		    busp_target *ret_target, bus_error *err)
{
	BUS_BUF_AUTO absolute = { 0 };
	BUS_BUF_AUTO fragment = { 0 };
	busp_target target = { 0 };

	busp_uri_resolve(base, uri, &absolute);
	busp_resource *resource = busp_resource_find(set, bus_buf_view(&absolute));
	if (resource != NULL &&
	    busp_uri_unescape(busp_uri_split(uri).fragment, &fragment)) {
		bus_status status = find_fragment(set, resource, bus_buf_view(&fragment),
						  &target, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	if (target.json == NULL) {
		return bus_error_set(
			err, BUS_E_FATAL, "schema", 0,
			"\"%.*s\" seen from \"%.*s\" leads to no schema of the set",
			BUS_STR_ARG(uri), BUS_STR_ARG(base));
	}
	*ret_target = target;
	return BUS_OK;
}

static busp_vocabulary
vocabulary_bit(const char *uri)
{
	for (size_t i = 0; i < sizeof(vocabularies) / sizeof(vocabularies[0]); i++) {
		if (strcmp(vocabularies[i].uri, uri) == 0) {
			return vocabularies[i].bit;
		}
	}
	return 0;
}

/* What the metaschema of a dialect declares. */
static bus_status
read_vocabularies(const busp_resource *metaschema, unsigned *ret_vocabularies,
		  bus_error *err)
{
	json_t *declared = json_object_get(metaschema->json, "$vocabulary");
	if (declared == NULL) {
		*ret_vocabularies = BUSP_VOCAB_DEFAULT;
		return BUS_OK;
	}
	unsigned bits = BUSP_VOCAB_CORE;
	const char *uri;
	json_t *needed;
	json_object_foreach(declared, uri, needed)
	{
		unsigned bit = vocabulary_bit(uri);
		if (bit == 0 && json_is_true(needed)) {
			return bus_error_set(
				err, BUS_E_FATAL, "schema", 0,
				"%.*s: needs the vocabulary %s, which is not known",
				BUS_STR_ARG(metaschema->uri), uri);
		}
		bits |= bit;
	}
	*ret_vocabularies = bits;
	return BUS_OK;
}

bus_status
busp_resource_dialect(bus_schema_set *set, busp_resource *resource,
		      unsigned *ret_vocabularies, bus_error *err)
{
	if (resource->vocabularies == 0) {
		const busp_resource *owner = resource;
		while (owner->dialect.data == NULL && owner->parent != NULL) {
			owner = owner->parent;
		}
		bus_str uri = owner->dialect;
		if (uri.data == NULL || bus_str_is(uri, BUSP_DIALECT_URI) ||
		    bus_str_is(uri, BUSP_DIALECT_URI "#")) {
			resource->vocabularies = BUSP_VOCAB_DEFAULT;
		} else {
			const busp_resource *metaschema = busp_resource_find(set, uri);
			if (metaschema == NULL) {
				return bus_error_set(err, BUS_E_FATAL, "schema", 0,
						     "%.*s: its $schema %.*s is not known",
						     BUS_STR_ARG(resource->uri),
						     BUS_STR_ARG(uri));
			}
			bus_status status =
				read_vocabularies(metaschema, &resource->vocabularies,
						  err);
			if (status != BUS_OK) {
				return status;
			}
		}
	}
	*ret_vocabularies = resource->vocabularies;
	return BUS_OK;
}
