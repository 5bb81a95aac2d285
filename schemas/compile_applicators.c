/* compile_applicators.c - keywords that hold schemas, and the names objects must have */
#include "schemas/program.h"

/* One op for properties, patternProperties, additionalProperties and required. */
static busp_object *
build_object(busp_build *build)
{
	static const busp_keyword pass = { "properties",    0,
					   BUSP_SHAPE_NONE, NULL,
					   busp_run_object, BUSP_TYPE_OBJECT };
	if (build->object == NULL) {
		build->object =
			bus_arena_alloc(build->set->arena, sizeof(*build->object));
		busp_build_op(build, &pass, BUSP_RANK_CHILDREN)->u.object = build->object;
	}
	return build->object;
}

/* One op for prefixItems and items. */
static busp_array *
build_array(busp_build *build)
{
	static const busp_keyword pass = { "items",         0,
					   BUSP_SHAPE_NONE, NULL,
					   busp_run_array,  BUSP_TYPE_ARRAY };
	if (build->array == NULL) {
		build->array = bus_arena_alloc(build->set->arena, sizeof(*build->array));
		busp_build_op(build, &pass, BUSP_RANK_CHILDREN)->u.array = build->array;
	}
	return build->array;
}

/* The row of a name, made if it is not there. */
static busp_property *
object_property(busp_build *build, busp_object *object, bus_str name)
{
	for (uint32_t i = 0; i < object->property_count; i++) {
		if (bus_str_eq(object->properties[i].name, name)) {
			return &object->properties[i];
		}
	}
	if (object->property_count == build->property_cap) {
		uint32_t cap = build->property_cap > 0 ? build->property_cap * 2 : 16;
		busp_property *more =
			bus_arena_alloc(build->set->arena, cap * sizeof(*more));
		if (object->property_count > 0) {
			memcpy(more, object->properties,
			       object->property_count * sizeof(*more));
		}
		object->properties = more;
		build->property_cap = cap;
	}
	busp_property *property = &object->properties[object->property_count++];
	*property = (busp_property){ .name = name };
	return property;
}

BUSP_COMPILE(busp_compile_properties)
{
	busp_object *object = build_object(build);
	bus_status status = BUS_OK;
	const char *name;
	size_t len;
	json_t *json;
	if (json_object_size(value) > BUSP_PROPERTIES_MAX) {
		return busp_build_fail(build, keyword->name, "has more than %u members",
				       BUSP_PROPERTIES_MAX);
	}
	json_object_keylen_foreach((json_t *)value, name, len, json)
	{
		busp_property *property =
			object_property(build, object, (bus_str){ name, len });
		status = busp_build_node(build, keyword->name, json, &property->node);
		if (status != BUS_OK) {
			break;
		}
	}
	return status;
}

BUSP_COMPILE(busp_compile_required)
{
	const bus_str *names;
	uint32_t count;
	bus_status status = busp_build_names(build, keyword->name, value, &names, &count);
	if (status != BUS_OK || count == 0) {
		return status;
	}
	if (count > BUSP_PROPERTIES_MAX) {
		return busp_build_fail(build, keyword->name, "has more than %u names",
				       BUSP_PROPERTIES_MAX);
	}
	busp_object *object = build_object(build);
	object->required_count = count;
	for (uint32_t i = 0; i < count; i++) {
		object_property(build, object, names[i])->required = true;
	}
	return BUS_OK;
}

BUSP_COMPILE(busp_compile_pattern_properties)
{
	busp_object *object = build_object(build);
	bus_arena *arena = build->set->arena;
	size_t count = json_object_size(value);
	object->patterns =
		bus_arena_alloc(arena, (count + 1) * sizeof(*object->patterns));
	object->pattern_nodes =
		bus_arena_alloc(arena, (count + 1) * sizeof(*object->pattern_nodes));
	bus_status status = BUS_OK;
	const char *text;
	size_t len;
	json_t *json;
	json_object_keylen_foreach((json_t *)value, text, len, json)
	{
		uint32_t i = object->pattern_count++;
		status = busp_build_pattern(build, keyword->name, (bus_str){ text, len },
					    &object->patterns[i]);
		if (status == BUS_OK) {
			status = busp_build_node(build, keyword->name, json,
						 &object->pattern_nodes[i]);
		}
		if (status != BUS_OK) {
			break;
		}
	}
	return status;
}

BUSP_COMPILE(busp_compile_additional)
{
	busp_object *object = build_object(build);
	object->additional_false = json_is_false(value);
	return busp_build_node(build, keyword->name, value, &object->additional);
}

void
busp_build_object_finish(busp_build *build)
{
	busp_object *object = build->object;
	if (object == NULL) {
		return;
	}
	uint32_t slots = 4;
	while (slots < object->property_count * 2) {
		slots *= 2;
	}
	object->table_mask = slots - 1;
	object->table =
		bus_arena_alloc(build->set->arena, slots * sizeof(*object->table));
	for (uint32_t i = 0; i < object->property_count; i++) {
		bus_str name = object->properties[i].name;
		uint32_t slot = busp_name_hash(name.data, name.len) & object->table_mask;
		while (object->table[slot] != 0) {
			slot = (slot + 1) & object->table_mask;
		}
		object->table[slot] = (uint16_t)(i + 1);
	}
}

BUSP_COMPILE(busp_compile_dependent_required)
{
	busp_dependents dependents = { 0 };
	bus_status status = BUS_OK;
	const char *name;
	size_t len;
	json_t *names;
	if (!json_is_object(value)) {
		return busp_build_fail(build, keyword->name, "must be an object");
	}
	dependents.rows =
		bus_arena_alloc(build->set->arena,
				(json_object_size(value) + 1) * sizeof(busp_dependent));
	json_object_keylen_foreach((json_t *)value, name, len, names)
	{
		busp_dependent *row = &dependents.rows[dependents.count++];
		row->name = (bus_str){ name, len };
		status = busp_build_names(build, keyword->name, names, &row->members,
					  &row->member_count);
		if (status != BUS_OK) {
			break;
		}
	}
	busp_build_op(build, keyword, BUSP_RANK_VALUE)->u.dependents = dependents;
	return status;
}

BUSP_COMPILE(busp_compile_dependent_schemas)
{
	busp_dependents dependents = { 0 };
	bus_status status = BUS_OK;
	const char *name;
	size_t len;
	json_t *json;
	dependents.rows =
		bus_arena_alloc(build->set->arena,
				(json_object_size(value) + 1) * sizeof(busp_dependent));
	json_object_keylen_foreach((json_t *)value, name, len, json)
	{
		busp_dependent *row = &dependents.rows[dependents.count++];
		row->name = (bus_str){ name, len };
		status = busp_build_node(build, keyword->name, json, &row->node);
		if (status != BUS_OK) {
			break;
		}
	}
	busp_build_op(build, keyword, BUSP_RANK_IN_PLACE)->u.dependents = dependents;
	return status;
}

BUSP_COMPILE(busp_compile_prefix_items)
{
	busp_list list;
	bus_status status = busp_build_list(build, keyword->name, value, &list);
	if (status == BUS_OK) {
		busp_array *array = build_array(build);
		array->prefix = list.nodes;
		array->prefix_count = list.count;
	}
	return status;
}

BUSP_COMPILE(busp_compile_items)
{
	return busp_build_node(build, keyword->name, value, &build_array(build)->items);
}

/* minContains or maxContains beside contains; fallback if it is not there. */
static bus_status
contains_bound(busp_build *build, const char *name, size_t fallback, size_t *ret_bound)
{
	const json_t *bound = json_object_get(build->json, name);
	*ret_bound = fallback;
	return bound != NULL && (build->vocabularies & BUSP_VOCAB_VALIDATION) != 0 ?
		       busp_build_size(build, name, bound, ret_bound) :
		       BUS_OK;
}

BUSP_COMPILE(busp_compile_contains)
{
	busp_contains contains = { 0 };
	bus_status status = busp_build_node(build, keyword->name, value, &contains.node);
	if (status == BUS_OK) {
		status = contains_bound(build, "minContains", 1, &contains.min);
	}
	if (status == BUS_OK) {
		status = contains_bound(build, "maxContains", SIZE_MAX, &contains.max);
	}
	if (status == BUS_OK) {
		busp_build_op(build, keyword, BUSP_RANK_CHILDREN)->u.contains = contains;
	}
	return status;
}

/* They mean nothing without contains, which reads them; here they are checked. */
BUSP_COMPILE(busp_compile_contains_bound)
{
	size_t bound;
	return busp_build_size(build, keyword->name, value, &bound);
}

BUSP_COMPILE(busp_compile_list)
{
	busp_list list;
	bus_status status = busp_build_list(build, keyword->name, value, &list);
	if (status == BUS_OK) {
		busp_build_op(build, keyword, BUSP_RANK_IN_PLACE)->u.list = list;
	}
	return status;
}

BUSP_COMPILE(busp_compile_if)
{
	busp_branches branches = { 0 };
	const json_t *then_json = json_object_get(build->json, "then");
	const json_t *else_json = json_object_get(build->json, "else");
	bus_status status =
		busp_build_node(build, keyword->name, value, &branches.condition);
	if (status == BUS_OK && then_json != NULL) {
		status = busp_build_node(build, "then", then_json, &branches.then_node);
	}
	if (status == BUS_OK && else_json != NULL) {
		status = busp_build_node(build, "else", else_json, &branches.else_node);
	}
	if (status == BUS_OK) {
		busp_build_op(build, keyword, BUSP_RANK_IN_PLACE)->u.branches = branches;
	}
	return status;
}

/* Compiled even without if, so that what is wrong in it is found. */
BUSP_COMPILE(busp_compile_branch)
{
	const busp_node *node;
	return busp_build_node(build, keyword->name, value, &node);
}

/* Definitions nobody refers to are compiled for the same reason. */
BUSP_COMPILE(busp_compile_defs)
{
	bus_status status = BUS_OK;
	const char *name;
	json_t *json;
	json_object_foreach((json_t *)value, name, json)
	{
		const busp_node *node;
		status = busp_build_node(build, keyword->name, json, &node);
		if (status != BUS_OK) {
			break;
		}
	}
	return status;
}

/* propertyNames goes into the instance, not stays in place; the rank fits both. */
BUSP_COMPILE(busp_compile_one)
{
	const busp_node *node;
	bus_status status = busp_build_node(build, keyword->name, value, &node);
	if (status == BUS_OK) {
		busp_build_op(build, keyword, BUSP_RANK_IN_PLACE)->u.node = node;
	}
	return status;
}

BUSP_COMPILE(busp_compile_unevaluated)
{
	const busp_node *node;
	bus_status status = busp_build_node(build, keyword->name, value, &node);
	if (status == BUS_OK) {
		busp_build_op(build, keyword, BUSP_RANK_UNEVALUATED)->u.node = node;
		build->node->unevaluated = true;
	}
	return status;
}
