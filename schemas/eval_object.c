/* eval_object.c - keywords that look at objects */
#include "schemas/program.h"

/* The step into a member. */
static busp_step
into_member(busp_step *at, const char *keyword, bus_str branch, bus_str member)
{
	busp_step step = BUSP_STEP(at, keyword);
	step.branch = branch;
	step.member = member;
	return step;
}

static const busp_property *
find_property(const busp_object *object, bus_str name)
{
	uint32_t slot = busp_name_hash(name.data, name.len) & object->table_mask;
	for (; object->table[slot] != 0; slot = (slot + 1) & object->table_mask) {
		const busp_property *property =
			&object->properties[object->table[slot] - 1];
		if (property->name.len == name.len &&
		    memcmp(property->name.data, name.data, name.len) == 0) {
			return property;
		}
	}
	return NULL;
}

/* patternProperties of one member; *ret_known: at least one pattern matches its name. */
static bool
run_patterns(busp_run *run, const busp_object *object, bus_str name, const json_t *value,
	     busp_step *at, bool *ret_known)
{
	bool valid = true;
	for (uint32_t i = 0; i < object->pattern_count; i++) {
		const busp_pattern *pattern = object->patterns[i];
		int matched = busp_regex_match(run->set, pattern, name);
		if (matched == 0) {
			continue;
		}
		*ret_known = true;
		busp_step step = into_member(at, "patternProperties",
					     bus_str_from(pattern->text), name);
		if (matched < 0) {
			valid = busp_fail(run, &step, NULL,
					  "its name takes too many steps to match");
		} else if (!busp_node_run(run, object->pattern_nodes[i], value, &step)) {
			valid = false;
		}
		if (!valid && run->report == NULL) {
			break;
		}
	}
	return valid;
}

static bool
run_additional(busp_run *run, const busp_object *object, bus_str name,
	       const json_t *value, busp_step *at)
{
	busp_step step = into_member(at, "additionalProperties", BUS_STR_NULL, name);
	if (object->additional_false) {
		return busp_fail(run, &step, NULL, "is not a member of this object");
	}
	return busp_node_run(run, object->additional, value, &step);
}

/* One member; *seen counts the required ones. */
static bool
run_member(busp_run *run, const busp_object *object, bus_str name, const json_t *value,
	   busp_step *at, size_t index, uint32_t *seen)
{
	bool known = false;
	bool valid = true;
	const busp_property *property = find_property(object, name);
	if (property != NULL) {
		*seen += property->required;
		if (property->node != NULL) {
			known = true;
			busp_step step = into_member(at, "properties", name, name);
			valid = busp_node_run(run, property->node, value, &step);
		}
	}
	if (object->pattern_count > 0 && (valid || run->report != NULL)) {
		valid = run_patterns(run, object, name, value, at, &known) && valid;
	}
	if (!known && object->additional != NULL) {
		known = true;
		valid = run_additional(run, object, name, value, at);
	}
	if (known) {
		busp_mark(at->marks, index);
	}
	return valid;
}

/* Only once the count has told that one is missing. */
static void
report_missing(busp_run *run, const busp_object *object, const json_t *value,
	       const busp_step *at)
{
	for (uint32_t i = 0; run->report != NULL && i < object->property_count; i++) {
		const busp_property *property = &object->properties[i];
		if (property->required && json_object_getn(value, property->name.data,
							   property->name.len) == NULL) {
			busp_fail(run, at, "required", "\"%.*s\" is missing",
				  BUS_STR_ARG(property->name));
		}
	}
}

BUSP_RUN(busp_run_object)
{
	const busp_object *object = op->u.object;
	json_t *members = (json_t *)value; /* jansson's iterators take no const */
	bool valid = true;
	uint32_t seen = 0;
	size_t index = 0;
	if (object->required_count > json_object_size(value) && run->report == NULL) {
		return false;
	}
	void *it = json_object_iter(members);
	for (; it != NULL; it = json_object_iter_next(members, it), index++) {
		bus_str name = { json_object_iter_key(it), json_object_iter_key_len(it) };
		if (!run_member(run, object, name, json_object_iter_value(it), at, index,
				&seen)) {
			valid = false;
			if (run->report == NULL) {
				return false;
			}
		}
	}
	if (seen < object->required_count) {
		report_missing(run, object, value, at);
		valid = false;
	}
	return valid;
}

BUSP_RUN(busp_run_max_properties)
{
	return json_object_size(value) <= op->u.size ||
	       busp_fail(run, at, op->keyword, "must have at most %zu members",
			 op->u.size);
}

BUSP_RUN(busp_run_min_properties)
{
	return json_object_size(value) >= op->u.size ||
	       busp_fail(run, at, op->keyword, "must have at least %zu members",
			 op->u.size);
}

BUSP_RUN(busp_run_property_names)
{
	json_t *members = (json_t *)value;
	bool valid = true;
	void *it = json_object_iter(members);
	for (; it != NULL; it = json_object_iter_next(members, it)) {
		bus_str name = { json_object_iter_key(it), json_object_iter_key_len(it) };
		json_t *text = json_stringn_nocheck(name.data, name.len);
		if (text == NULL) {
			busp_trouble(run, BUS_E_FATAL, "no memory for a member's name");
			return false;
		}
		busp_step step = into_member(at, op->keyword, BUS_STR_NULL, name);
		valid = busp_node_run(run, op->u.node, text, &step) && valid;
		json_decref(text);
		if (!valid && run->report == NULL) {
			break;
		}
	}
	return valid;
}

BUSP_RUN(busp_run_dependent_required)
{
	bool valid = true;
	for (uint32_t i = 0; i < op->u.dependents.count; i++) {
		const busp_dependent *row = &op->u.dependents.rows[i];
		if (json_object_getn(value, row->name.data, row->name.len) == NULL) {
			continue;
		}
		for (uint32_t j = 0; j < row->member_count; j++) {
			bus_str member = row->members[j];
			if (json_object_getn(value, member.data, member.len) == NULL) {
				valid = busp_fail(run, at, op->keyword,
						  "\"%.*s\" is missing beside \"%.*s\"",
						  BUS_STR_ARG(member),
						  BUS_STR_ARG(row->name));
			}
		}
	}
	return valid;
}

BUSP_RUN(busp_run_dependent_schemas)
{
	bool valid = true;
	for (uint32_t i = 0; i < op->u.dependents.count; i++) {
		const busp_dependent *row = &op->u.dependents.rows[i];
		if (json_object_getn(value, row->name.data, row->name.len) == NULL) {
			continue;
		}
		busp_step step = BUSP_STEP(at, op->keyword);
		step.branch = row->name;
		step.marks = at->marks;
		valid = busp_node_run(run, row->node, value, &step) && valid;
		if (!valid && run->report == NULL) {
			break;
		}
	}
	return valid;
}

BUSP_RUN(busp_run_unevaluated_properties)
{
	json_t *members = (json_t *)value;
	bool valid = true;
	size_t index = 0;
	void *it = json_object_iter(members);
	for (; it != NULL; it = json_object_iter_next(members, it), index++) {
		if (busp_marked(at->marks, index)) {
			continue;
		}
		bus_str name = { json_object_iter_key(it), json_object_iter_key_len(it) };
		busp_step step = into_member(at, op->keyword, BUS_STR_NULL, name);
		valid = busp_node_run(run, op->u.node, json_object_iter_value(it),
				      &step) &&
			valid;
		if (!valid && run->report == NULL) {
			break;
		}
		busp_mark(at->marks, index);
	}
	return valid;
}
