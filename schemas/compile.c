/*
 * compile.c - from a schema object to a node
 *
 * Nodes that are referred to are made at once and filled later, from a list: however
 * long a chain of references is, and even if it is a circle, nothing recurses.
 */
#include "schemas/program.h"

#include <stdio.h>

bus_status
busp_build_fail(busp_build *build, const char *keyword, const char *fmt, ...)
{
	char text[160];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	const busp_place *place = build->node->place;
	return bus_error_set(build->err, BUS_E_FATAL, "schema", 0, "%.*s#%.*s/%s: %s",
			     BUS_STR_ARG(place->resource->uri),
			     BUS_STR_ARG(place->pointer), keyword, text);
}

busp_op *
busp_build_op(busp_build *build, const busp_keyword *keyword, unsigned rank)
{
	busp_op *op = &build->ops[build->node->op_count++];
	op->keyword = keyword->name;
	op->run = keyword->run;
	op->types = keyword->types;
	op->rank = rank;
	return op;
}

static busp_node *
node_create(bus_schema_set *set)
{
	busp_node *node = bus_arena_alloc(set->arena, sizeof(*node));
	node->schema = (bus_schema){ set, node };
	return node;
}

/* The schema true is a node without ops, false has one that always fails. */
static busp_node *
boolean_node(bus_schema_set *set, bool answer)
{
	busp_node **node = answer ? &set->node_true : &set->node_false;
	if (*node == NULL) {
		*node = node_create(set);
		if (!answer) {
			busp_op *op = bus_arena_alloc(set->arena, sizeof(*op));
			op->run = busp_run_false;
			op->types = BUSP_TYPE_ANY;
			op->keyword = "false";
			(*node)->ops = op;
			(*node)->op_count = 1;
		}
	}
	return *node;
}

static busp_node *
place_node(bus_schema_set *set, busp_place *place)
{
	if (place->node == NULL) {
		busp_node *node = node_create(set);
		node->place = place;
		node->resource = place->resource;
		node->next = set->pending;
		set->pending = node;
		place->node = node;
	}
	return place->node;
}

static busp_node *
target_node(bus_schema_set *set, const busp_target *target)
{
	return target->place != NULL ? place_node(set, target->place) :
				       boolean_node(set, json_is_true(target->json));
}

bus_status
busp_build_node(busp_build *build, const char *keyword, const json_t *json,
		const busp_node **ret_node)
{
	busp_target target = { json, busp_place_find(build->set, json), NULL };
	if (target.place == NULL && !json_is_boolean(json)) {
		return busp_build_fail(build, keyword, "is no schema");
	}
	*ret_node = target_node(build->set, &target);
	return BUS_OK;
}

bus_status
busp_build_list(busp_build *build, const char *keyword, const json_t *json,
		busp_list *ret_list)
{
	size_t count = json_array_size(json);
	if (count == 0) {
		return busp_build_fail(build, keyword, "must have at least one schema");
	}
	const busp_node **nodes =
		bus_arena_alloc(build->set->arena, count * sizeof(const busp_node *));
	bus_status status = BUS_OK;
	for (size_t i = 0; i < count && status == BUS_OK; i++) {
		status = busp_build_node(build, keyword, json_array_get(json, i),
					 &nodes[i]);
	}
	*ret_list = (busp_list){ nodes, (uint32_t)count };
	return status;
}

bus_status
busp_build_names(busp_build *build, const char *keyword, const json_t *json,
		 const bus_str **ret_names, uint32_t *ret_count)
{
	size_t count = json_array_size(json);
	if (!json_is_array(json)) {
		return busp_build_fail(build, keyword, "must be a list of strings");
	}
	bus_str *names = bus_arena_alloc(build->set->arena, (count + 1) * sizeof(*names));
	for (size_t i = 0; i < count; i++) {
		const json_t *name = json_array_get(json, i);
		if (!json_is_string(name)) {
			return busp_build_fail(build, keyword,
					       "must be a list of strings");
		}
		names[i] = (bus_str){ json_string_value(name), json_string_length(name) };
		for (size_t j = 0; j < i; j++) {
			if (bus_str_eq(names[i], names[j])) {
				return busp_build_fail(build, keyword,
						       "names \"%.*s\" twice",
						       BUS_STR_ARG(names[i]));
			}
		}
	}
	*ret_names = names;
	*ret_count = (uint32_t)count;
	return BUS_OK;
}

bus_status
busp_build_size(busp_build *build, const char *keyword, const json_t *json,
		size_t *ret_size)
{
	double size = json_number_value(json);
	if (!json_is_number(json) || !busp_number_whole(size) || size < 0 ||
	    size > 0x1p53) {
		return busp_build_fail(build, keyword, "must be an integer, 0 or more");
	}
	*ret_size = (size_t)size;
	return BUS_OK;
}

bus_status
busp_build_pattern(busp_build *build, const char *keyword, bus_str text,
		   const busp_pattern **ret_pattern)
{
	bus_error why = BUS_ERROR_INIT;
	busp_pattern *pattern;
	bus_status status = busp_regex_compile(build->set, text, &pattern, &why);
	if (status != BUS_OK) {
		return busp_build_fail(build, keyword, "%s", why.text);
	}
	*ret_pattern = pattern;
	return BUS_OK;
}

BUSP_COMPILE(busp_compile_ref)
{
	busp_target target;
	bus_str uri = bus_str_from(json_string_value(value));
	if (uri.data == NULL) {
		return busp_build_fail(build, keyword->name, "must be a string");
	}
	bus_error why = BUS_ERROR_INIT;
	if (busp_documents_find(build->set, build->node->resource->uri, uri, &target,
				&why) != BUS_OK) {
		return busp_build_fail(build, keyword->name, "%s", why.text);
	}
	busp_op *op = busp_build_op(build, keyword, BUSP_RANK_IN_PLACE);
	op->u.node = target_node(build->set, &target);
	return BUS_OK;
}

/* Only what leads to a $dynamicAnchor by its name is dynamic; else it is a $ref. */
BUSP_COMPILE(busp_compile_dynamic_ref)
{
	busp_target target;
	bus_str uri = bus_str_from(json_string_value(value));
	if (uri.data == NULL) {
		return busp_build_fail(build, keyword->name, "must be a string");
	}
	bus_error why = BUS_ERROR_INIT;
	if (busp_documents_find(build->set, build->node->resource->uri, uri, &target,
				&why) != BUS_OK) {
		return busp_build_fail(build, keyword->name, "%s", why.text);
	}
	busp_op *op = busp_build_op(build, keyword, BUSP_RANK_IN_PLACE);
	if (target.anchor == NULL || !target.anchor->dynamic) {
		op->run = busp_run_ref;
		op->u.node = target_node(build->set, &target);
		return BUS_OK;
	}
	op->u.dynamic.target = target_node(build->set, &target);
	op->u.dynamic.name = target.anchor->name;
	busp_dynamic_name *name = bus_arena_alloc(build->set->arena, sizeof(*name));
	name->name = target.anchor->name;
	name->next = build->set->dynamic_names;
	build->set->dynamic_names = name;
	return BUS_OK;
}

static bool
is_annotation(const char *name)
{
	return name[0] == 'x' && name[1] == '-';
}

static bus_status
build_keyword(busp_build *build, const char *name, const json_t *value)
{
	const busp_keyword *keyword = busp_keyword_find(name);
	if (keyword == NULL || (keyword->vocabulary & build->vocabularies) == 0) {
		if (is_annotation(name) ||
		    (build->set->flags & BUS_SCHEMA_ALLOW_UNKNOWN) != 0) {
			return BUS_OK;
		}
		return busp_build_fail(build, name, "is not a keyword that is supported");
	}
	return keyword->compile != NULL ? keyword->compile(build, keyword, value) :
					  BUS_OK;
}

/* Stable, so that ops of one rank stay in the order of the schema. */
static void
take_ops(busp_build *build)
{
	busp_node *node = build->node;
	busp_op *ops =
		bus_arena_alloc(build->set->arena, (node->op_count + 1) * sizeof(*ops));
	uint32_t count = 0;
	for (unsigned rank = BUSP_RANK_TYPE; rank <= BUSP_RANK_UNEVALUATED; rank++) {
		for (uint32_t i = 0; i < node->op_count; i++) {
			if (build->ops[i].rank == rank) {
				ops[count++] = build->ops[i];
			}
		}
	}
	node->ops = ops;
}

static bus_status
node_fill(bus_schema_set *set, busp_node *node, bus_error *err)
{
	busp_build build = {
		.set = set, .node = node, .json = node->place->json, .err = err
	};
	bus_status status =
		busp_resource_dialect(set, node->resource, &build.vocabularies, err);
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)build.json, name, value)
	{
		if (status == BUS_OK) {
			status = build_keyword(&build, name, value);
		}
	}
	if (status == BUS_OK) {
		busp_build_object_finish(&build);
		take_ops(&build);
	}
	return status;
}

static bus_status
fill_pending(bus_schema_set *set, bus_error *err)
{
	bus_status status = BUS_OK;
	while (set->pending != NULL && status == BUS_OK) {
		busp_node *node = set->pending;
		set->pending = node->next;
		node->next = set->filled;
		set->filled = node;
		status = node_fill(set, node, err);
	}
	return status;
}

/* A $dynamicRef may lead to that anchor in any resource: all of them must be there. */
static void
add_dynamic_anchors(bus_schema_set *set)
{
	for (const busp_dynamic_name *d = set->dynamic_names; d != NULL; d = d->next) {
		for (const busp_name *name = set->names; name != NULL; name = name->next) {
			const busp_anchor *a = name->resource->anchors;
			for (; a != NULL; a = a->next) {
				if (a->dynamic && bus_str_eq(a->name, d->name)) {
					place_node(set, a->place);
				}
			}
		}
	}
}

static bool circles(const busp_node *node, unsigned depth);

static bool
any_circles(const busp_list *list, unsigned depth)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (circles(list->nodes[i], depth)) {
			return true;
		}
	}
	return false;
}

/* Whether one of the schemas that op applies to the same instance leads back. */
static bool
op_circles(const busp_op *op, unsigned depth)
{
	if (op->run == busp_run_ref || op->run == busp_run_not) {
		return circles(op->u.node, depth);
	}
	if (op->run == busp_run_all_of || op->run == busp_run_any_of ||
	    op->run == busp_run_one_of) {
		return any_circles(&op->u.list, depth);
	}
	if (op->run == busp_run_if) {
		const busp_node *branches[] = { op->u.branches.condition,
						op->u.branches.then_node,
						op->u.branches.else_node };
		return any_circles(&(busp_list){ branches, 3 }, depth);
	}
	for (uint32_t i = 0;
	     op->run == busp_run_dependent_schemas && i < op->u.dependents.count; i++) {
		if (circles(op->u.dependents.rows[i].node, depth)) {
			return true;
		}
	}
	return false;
}

/*
 * A schema that comes back to itself without going into the instance would never end. A
 * way too long to be run counts as one. $dynamicRef is left to the limit of the run: where
 * it leads is not known here.
 */
static bool
circles(const busp_node *node, unsigned depth)
{
	if (node == NULL || node->seen == BUSP_SEEN_DONE) {
		return false;
	}
	if (node->seen == BUSP_SEEN_OPEN || depth == BUSP_DEPTH_MAX) {
		return true;
	}
	busp_node *mine =
		(busp_node *)node; /* nothing of the program itself is changed */
	mine->seen = BUSP_SEEN_OPEN;
	for (uint32_t i = 0; i < node->op_count; i++) {
		if (op_circles(&node->ops[i], depth + 1)) {
			return true;
		}
	}
	mine->seen = BUSP_SEEN_DONE;
	return false;
}

static bus_status
check_circles(bus_schema_set *set, bus_error *err)
{
	while (set->filled != NULL) {
		const busp_node *node = set->filled;
		set->filled = node->next;
		if (circles(node, 0)) {
			return bus_error_set(err, BUS_E_FATAL, "schema", 0,
					     "%.*s#%.*s: refers to itself for ever",
					     BUS_STR_ARG(node->resource->uri),
					     BUS_STR_ARG(node->place->pointer));
		}
	}
	return BUS_OK;
}

bus_status
busp_compile(bus_schema_set *set, const busp_target *target, busp_node **ret_node,
	     bus_error *err)
{
	busp_node *node = target_node(set, target);
	bus_status status = BUS_OK;
	do {
		status = fill_pending(set, err);
		add_dynamic_anchors(set);
	} while (status == BUS_OK && set->pending != NULL);
	if (status == BUS_OK) {
		status = check_circles(set, err);
	}
	if (status == BUS_OK) {
		*ret_node = node;
	}
	return status;
}
