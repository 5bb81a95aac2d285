/* eval_array.c - keywords that look at arrays */
#include "schemas/program.h"

#include <stdlib.h>

static busp_step
into_item(busp_step *at, const char *keyword, int32_t branch, size_t index)
{
	busp_step step = BUSP_STEP(at, keyword);
	step.branch_index = branch;
	step.item = (int64_t)index;
	return step;
}

BUSP_RUN(busp_run_array)
{
	const busp_array *array = op->u.array;
	size_t count = json_array_size(value);
	bool valid = true;
	for (size_t i = 0; i < count && (valid || run->report != NULL); i++) {
		const json_t *item = json_array_get(value, i);
		busp_step step;
		if (i < array->prefix_count) {
			step = into_item(at, "prefixItems", (int32_t)i, i);
			valid = busp_node_run(run, array->prefix[i], item, &step) &&
				valid;
		} else if (array->items != NULL) {
			step = into_item(at, "items", -1, i);
			valid = busp_node_run(run, array->items, item, &step) && valid;
		} else {
			break;
		}
		busp_mark(at->marks, i);
	}
	return valid;
}

BUSP_RUN(busp_run_contains)
{
	const busp_contains *contains = &op->u.contains;
	size_t count = json_array_size(value);
	size_t matches = 0;
	for (size_t i = 0; i < count && run->trouble == NULL; i++) {
		busp_step step = into_item(at, op->keyword, -1, i);
		if (busp_node_try(run, contains->node, json_array_get(value, i), &step)) {
			matches++;
			busp_mark(at->marks, i);
		}
	}
	if (run->trouble != NULL) {
		return false;
	}
	if (matches < contains->min) {
		return busp_fail(run, at, op->keyword,
				 "%zu items match, at least %zu must", matches,
				 contains->min);
	}
	return matches <= contains->max ||
	       busp_fail(run, at, "maxContains", "%zu items match, at most %zu may",
			 matches, contains->max);
}

BUSP_RUN(busp_run_max_items)
{
	return json_array_size(value) <= op->u.size ||
	       busp_fail(run, at, op->keyword, "must have at most %zu items", op->u.size);
}

BUSP_RUN(busp_run_min_items)
{
	return json_array_size(value) >= op->u.size ||
	       busp_fail(run, at, op->keyword, "must have at least %zu items", op->u.size);
}

/* Up to here comparing each with each is quicker than hashing. */
#define PAIRWISE_MAX 12

static bool
unique_pairwise(const json_t *array, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (busp_equal(json_array_get(array, i),
				       json_array_get(array, j))) {
				return false;
			}
		}
	}
	return true;
}

typedef struct hashed {
	uint64_t hash;
	const json_t *item;
} hashed;

static int
compare_hashed(const void *a, const void *b)
{
	uint64_t x = ((const hashed *)a)->hash, y = ((const hashed *)b)->hash;
	return (x > y) - (x < y);
}

/* Sorted by a hash that the sender of the array cannot foresee: no quadratic time. */
static bool
unique_hashed(busp_run *run, const json_t *array, size_t count)
{
	hashed *items = malloc(count * sizeof(*items));
	bool unique = true;
	if (items == NULL) {
		busp_trouble(run, BUS_E_FATAL, "no memory to compare items");
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		items[i].item = json_array_get(array, i);
		items[i].hash = busp_hash(items[i].item, run->set->seed);
	}
	qsort(items, count, sizeof(*items), compare_hashed);
	for (size_t i = 1; i < count && unique; i++) {
		for (size_t j = i; j-- > 0 && items[j].hash == items[i].hash && unique;) {
			unique = !busp_equal(items[i].item, items[j].item);
		}
	}
	free(items);
	return unique;
}

BUSP_RUN(busp_run_unique)
{
	size_t count = json_array_size(value);
	bool unique = count <= PAIRWISE_MAX ? unique_pairwise(value, count) :
					      unique_hashed(run, value, count);
	return unique || busp_fail(run, at, op->keyword, "must not have equal items");
}

BUSP_RUN(busp_run_unevaluated_items)
{
	size_t count = json_array_size(value);
	bool valid = true;
	for (size_t i = 0; i < count && (valid || run->report != NULL); i++) {
		if (busp_marked(at->marks, i)) {
			continue;
		}
		busp_step step = into_item(at, op->keyword, -1, i);
		valid = busp_node_run(run, op->u.node, json_array_get(value, i), &step) &&
			valid;
		busp_mark(at->marks, i);
	}
	return valid;
}
