/* validator.c - sets, and the way in and out of compiling and running */
#include "schemas/program.h"

#include <stdlib.h>
#include <sys/random.h>

bus_schema_set *
bus_schema_set_create(unsigned flags)
{
	bus_schema_set *set = calloc(1, sizeof(*set));
	if (set == NULL) {
		return NULL;
	}
	set->flags = flags;
	set->arena = bus_arena_create(64u * 1024u);
	set->documents = json_array();
	set->compile_context = pcre2_compile_context_create(NULL);
	set->match_context = pcre2_match_context_create(NULL);
	if (set->arena == NULL || set->documents == NULL ||
	    set->compile_context == NULL || set->match_context == NULL) {
		bus_schema_set_destroy(set);
		return NULL;
	}
	/* Nobody who sends arrays may foresee their hashes. Without entropy the address
	 * of the set has to do. */
	if (getrandom(&set->seed, sizeof(set->seed), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(set->seed)) {
		set->seed = (uint64_t)(uintptr_t)set;
	}
	pcre2_set_match_limit(set->match_context, BUSP_MATCH_LIMIT);
	return set;
}

void
bus_schema_set_destroy(bus_schema_set *set)
{
	if (set == NULL) {
		return;
	}
	for (busp_pattern *p = set->patterns; p != NULL; p = p->next) {
		pcre2_code_free(p->code);
	}
	pcre2_match_data_free(set->spare);
	pcre2_match_context_free(set->match_context);
	pcre2_compile_context_free(set->compile_context);
	json_decref(set->documents);
	bus_arena_destroy(set->arena);
	free(set);
}

bus_status
bus_schema_set_add(bus_schema_set *set, bus_str uri, json_t *document, bus_error *err)
{
	bus_status status = busp_documents_add(set, uri, document, err);
	set->broken = set->broken || status != BUS_OK;
	return status;
}

bus_status
bus_schema_compile(bus_schema_set *set, bus_str uri, const bus_schema **ret_schema,
		   bus_error *err)
{
	busp_target target;
	busp_node *node;
	if (set->broken) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0,
				     "%.*s: another schema of its set is wrong",
				     BUS_STR_ARG(uri));
	}
	bus_status status = busp_documents_find(set, BUS_STR(""), uri, &target, err);
	if (status != BUS_OK) {
		return status;
	}
	status = busp_compile(set, &target, &node, err);
	if (status != BUS_OK) {
		set->broken = true;
		return status;
	}
	*ret_schema = &node->schema;
	return BUS_OK;
}

static bus_status
validate_failed(const busp_run *run, const bus_schema_report *report, bus_error *err)
{
	if (run->trouble != NULL) {
		return bus_error_set(err, run->trouble_status, "schema", 0, "data: %s",
				     run->trouble);
	}
	const bus_schema_error *first = &report->errors[0];
	return bus_error_set(err, BUS_E_REJECT, "schema", 0, "data%s%s %s (%s)",
			     first->instance_location[0] != '\0' ? " at " : "",
			     first->instance_location, first->text,
			     first->keyword_location);
}

bus_status
bus_schema_validate(const bus_schema *schema, const json_t *instance,
		    bus_schema_report *report, bus_error *err)
{
	busp_run run = { .set = schema->set };
	busp_step root = BUSP_STEP(NULL, NULL);
	if (report != NULL) {
		report->count = 0;
	}
	if (busp_node_run(&run, schema->node, instance, &root) && run.trouble == NULL) {
		return BUS_OK;
	}
	if ((report == NULL && err == NULL) || run.trouble != NULL) {
		return run.trouble != NULL ? validate_failed(&run, NULL, err) :
					     BUS_E_REJECT;
	}
	/* Most data is valid, so only the second time round is told what is wrong. */
	bus_schema_report own;
	run = (busp_run){ .set = schema->set, .report = report != NULL ? report : &own };
	run.report->count = 0;
	root = BUSP_STEP(NULL, NULL);
	(void)busp_node_run(&run, schema->node, instance, &root);
	return validate_failed(&run, run.report, err);
}
