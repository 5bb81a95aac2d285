/* eval.c - runs a node: scope, marks, failures; and the keywords that stay in place */
#include "schemas/program.h"

#include <stdio.h>
#include <stdlib.h>

void
busp_trouble(busp_run *run, bus_status status, const char *why)
{
	if (run->trouble == NULL) {
		run->trouble = why;
		run->trouble_status = status;
	}
}

/* A JSON Pointer into a fixed buffer; cut at its end when too long. */
typedef struct pointer {
	char *text;
	size_t len;
} pointer;

static void
pointer_char(pointer *p, char c)
{
	if (p->len + 1 < BUS_POINTER_MAX) {
		p->text[p->len++] = c;
		p->text[p->len] = '\0';
	}
}

static void
pointer_token(pointer *p, bus_str token)
{
	pointer_char(p, '/');
	for (size_t i = 0; i < token.len; i++) {
		char c = token.data[i];
		if (c == '~' || c == '/') {
			pointer_char(p, '~');
			c = c == '~' ? '0' : '1';
		}
		pointer_char(p, c);
	}
}

static void
pointer_number(pointer *p, int64_t number)
{
	char text[24];
	snprintf(text, sizeof(text), "%lld", (long long)number);
	pointer_token(p, bus_str_from(text));
}

/* The steps are linked from the innermost: outermost first by recursion, which the depth
 * of a run bounds. */
static void
instance_location(const busp_step *at, pointer *p)
{
	if (at == NULL) {
		return;
	}
	instance_location(at->up, p);
	if (at->member.data != NULL) {
		pointer_token(p, at->member);
	} else if (at->item >= 0) {
		pointer_number(p, at->item);
	}
}

static void
keyword_location(const busp_step *at, pointer *p)
{
	if (at == NULL) {
		return;
	}
	keyword_location(at->up, p);
	if (at->keyword != NULL) {
		pointer_token(p, bus_str_from(at->keyword));
	}
	if (at->branch.data != NULL) {
		pointer_token(p, at->branch);
	} else if (at->branch_index >= 0) {
		pointer_number(p, at->branch_index);
	}
}

bool
busp_fail(busp_run *run, const busp_step *at, const char *keyword, const char *fmt, ...)
{
	if (run->report == NULL) {
		return false;
	}
	size_t index = run->report->count++;
	if (index >= BUS_SCHEMA_ERRORS_MAX) {
		return false;
	}
	bus_schema_error *error = &run->report->errors[index];
	*error = (bus_schema_error){ 0 };
	instance_location(at, &(pointer){ error->instance_location, 0 });
	pointer location = { error->keyword_location, 0 };
	keyword_location(at, &location);
	if (keyword != NULL) {
		pointer_token(&location, bus_str_from(keyword));
	}
	va_list args;
	va_start(args, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, args);
	va_end(args);
	return false;
}

BUSP_RUN(busp_run_false)
{
	(void)op;
	(void)value;
	return busp_fail(run, at, NULL, "is not allowed");
}

static bool
run_ops(busp_run *run, const busp_node *node, const json_t *value, busp_step *at)
{
	unsigned type = 1u << json_typeof(value);
	bool valid = true;
	for (uint32_t i = 0; i < node->op_count; i++) {
		const busp_op *op = &node->ops[i];
		if ((op->types & type) == 0) {
			continue;
		}
		/* After a failure the marks are incomplete: asking them would mislead. */
		if (!valid && op->rank == BUSP_RANK_UNEVALUATED) {
			break;
		}
		if (!op->run(run, op, value, at)) {
			valid = false;
			if (run->report == NULL || run->trouble != NULL) {
				return false;
			}
		}
	}
	return valid;
}

static bool
marks_init(busp_run *run, busp_marks *marks, const json_t *value)
{
	marks->count =
		json_is_object(value) ? json_object_size(value) : json_array_size(value);
	if (marks->count > 64) {
		marks->many = calloc(marks->count / 64 + 1, sizeof(*marks->many));
		if (marks->many == NULL) {
			busp_trouble(run, BUS_E_FATAL,
				     "no memory to mark what was evaluated");
			return false;
		}
	}
	return true;
}

static void
marks_add(busp_marks *marks, const busp_marks *more)
{
	marks->few |= more->few;
	for (size_t i = 0; more->many != NULL && i <= more->count / 64; i++) {
		marks->many[i] |= more->many[i];
	}
}

/* With marks of its own; they become the outer ones only if the node is valid. */
static bool
run_marked(busp_run *run, const busp_node *node, const json_t *value, busp_step *at)
{
	busp_marks *outer = at->marks;
	busp_marks mine = { 0 };
	bool valid = marks_init(run, &mine, value);
	if (valid) {
		at->marks = &mine;
		valid = run_ops(run, node, value, at);
		at->marks = outer;
	}
	if (valid && outer != NULL) {
		marks_add(outer, &mine);
	}
	free(mine.many);
	return valid;
}

bool
busp_node_run(busp_run *run, const busp_node *node, const json_t *value, busp_step *at)
{
	if (node->op_count == 0) {
		return true;
	}
	if (run->depth >= BUSP_DEPTH_MAX) {
		busp_trouble(run, BUS_E_REJECT, "nested too deeply to be evaluated");
		return false;
	}
	const busp_scope *outer = run->scope;
	busp_scope inner = { outer, node->resource };
	if (node->resource != NULL &&
	    (outer == NULL || outer->resource != node->resource)) {
		run->scope = &inner;
	}
	run->depth++;
	bool valid = at->marks != NULL || node->unevaluated ?
			     run_marked(run, node, value, at) :
			     run_ops(run, node, value, at);
	run->depth--;
	run->scope = outer;
	return valid;
}

bool
busp_node_try(busp_run *run, const busp_node *node, const json_t *value, busp_step *at)
{
	bus_schema_report *report = run->report;
	run->report = NULL;
	bool valid = busp_node_run(run, node, value, at);
	run->report = report;
	return valid;
}

/* The step to a schema that looks at the same instance. */
static busp_step
in_place(busp_step *at, const char *keyword, int32_t index)
{
	busp_step step = BUSP_STEP(at, keyword);
	step.branch_index = index;
	step.marks = at->marks;
	return step;
}

BUSP_RUN(busp_run_ref)
{
	busp_step step = in_place(at, op->keyword, -1);
	return busp_node_run(run, op->u.node, value, &step);
}

/* The outermost resource of the dynamic scope that has the anchor wins. */
static const busp_node *
dynamic_node(const busp_run *run, const busp_dynamic *dynamic)
{
	const busp_node *found = dynamic->target;
	for (const busp_scope *scope = run->scope; scope != NULL; scope = scope->up) {
		const busp_anchor *anchor = scope->resource->anchors;
		for (; anchor != NULL; anchor = anchor->next) {
			if (anchor->dynamic && bus_str_eq(anchor->name, dynamic->name)) {
				found = anchor->place->node;
			}
		}
	}
	return found;
}

BUSP_RUN(busp_run_dynamic_ref)
{
	busp_step step = in_place(at, op->keyword, -1);
	return busp_node_run(run, dynamic_node(run, &op->u.dynamic), value, &step);
}

BUSP_RUN(busp_run_all_of)
{
	bool valid = true;
	for (uint32_t i = 0; i < op->u.list.count; i++) {
		busp_step step = in_place(at, op->keyword, (int32_t)i);
		if (!busp_node_run(run, op->u.list.nodes[i], value, &step)) {
			valid = false;
			if (run->report == NULL) {
				break;
			}
		}
	}
	return valid;
}

/* The alternatives' own failures are reported only if none holds, behind the one that
 * says so: they tell what each would have needed. */
static uint32_t
count_matches(busp_run *run, const busp_op *op, const json_t *value, busp_step *at,
	      uint32_t enough)
{
	size_t before = run->report != NULL ? run->report->count : 0;
	uint32_t matches = 0;
	busp_fail(run, at, op->keyword, "matches none of the %u alternatives",
		  op->u.list.count);
	for (uint32_t i = 0; i < op->u.list.count && run->trouble == NULL; i++) {
		busp_step step = in_place(at, op->keyword, (int32_t)i);
		if (busp_node_run(run, op->u.list.nodes[i], value, &step) &&
		    ++matches == enough) {
			break;
		}
	}
	if (matches > 0 && run->report != NULL) {
		run->report->count = before;
	}
	return matches;
}

BUSP_RUN(busp_run_any_of)
{
	/* Who asks for marks needs those of every alternative that holds. */
	return count_matches(run, op, value, at, at->marks != NULL ? UINT32_MAX : 1) > 0;
}

BUSP_RUN(busp_run_one_of)
{
	uint32_t matches =
		count_matches(run, op, value, at, run->report == NULL ? 2 : UINT32_MAX);
	if (matches > 1) {
		return busp_fail(run, at, op->keyword,
				 "must match one alternative, matches %u of %u", matches,
				 op->u.list.count);
	}
	return matches == 1;
}

BUSP_RUN(busp_run_not)
{
	busp_step step = BUSP_STEP(at, op->keyword); /* no marks leave a negation */
	bool matches = busp_node_try(run, op->u.node, value, &step);
	if (run->trouble != NULL) {
		return false;
	}
	return !matches || busp_fail(run, at, op->keyword, "must not match this schema");
}

BUSP_RUN(busp_run_if)
{
	busp_step step = in_place(at, op->keyword, -1);
	bool holds = busp_node_try(run, op->u.branches.condition, value, &step);
	if (run->trouble != NULL) {
		return false;
	}
	const busp_node *branch =
		holds ? op->u.branches.then_node : op->u.branches.else_node;
	if (branch == NULL) {
		return true;
	}
	step = in_place(at, holds ? "then" : "else", -1);
	return busp_node_run(run, branch, value, &step);
}
