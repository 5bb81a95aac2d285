/* targets.c - route: who gets how much of a host's traffic */
#include <inttypes.h>
#include <stdlib.h>

#include "core/json.h"
#include "workers/route/parts.h"

static int
compare(const void *a, const void *b)
{
	const int64_t *x = a; /* the release comes first in a row */
	const int64_t *y = b;
	return (*x > *y) - (*x < *y);
}

static void
sort(busp_targets *targets)
{
	qsort(targets->rows, targets->count, sizeof(targets->rows[0]), compare);
}

busp_targets
busp_targets_read(const json_t *json)
{
	busp_targets targets = { .count = 0 };
	size_t count = json_array_size(json);
	count = count < BUSP_TARGETS_MAX ? count : BUSP_TARGETS_MAX;
	for (; targets.count < count; targets.count++) {
		const json_t *target = json_array_get(json, targets.count);
		targets.rows[targets.count].release = bus_json_int(target, "release", 0);
		targets.rows[targets.count].weight = bus_json_int(target, "weight", 0);
	}
	sort(&targets);
	return targets;
}

busp_targets
busp_targets_parse(bus_str text)
{
	BUS_JSON_AUTO *json =
		text.len > 0 ? json_loadb(text.data, text.len, 0, NULL) : NULL;
	return busp_targets_read(json);
}

bus_str
busp_targets_text(const busp_targets *targets, bus_arena *arena)
{
	bus_str text = BUS_STR("");
	for (size_t i = 0; i < targets->count; i++) {
		text = bus_arena_printf(arena,
					"%.*s%s{\"release\":%" PRId64
					",\"weight\":%" PRId64 "}",
					BUS_STR_ARG(text), i > 0 ? "," : "",
					targets->rows[i].release,
					targets->rows[i].weight);
	}
	return bus_arena_printf(arena, "[%.*s]", BUS_STR_ARG(text));
}

bus_str
busp_targets_check(const busp_targets *targets, bus_arena *arena)
{
	int64_t sum = 0;
	for (size_t i = 0; i < targets->count; i++) {
		if (i > 0 && targets->rows[i].release == targets->rows[i - 1].release) {
			return bus_arena_printf(arena,
						"release %" PRId64 " is named twice",
						targets->rows[i].release);
		}
		sum += targets->rows[i].weight;
	}
	if (sum != BUSP_WEIGHT_SUM) {
		return bus_arena_printf(arena, "weights sum to %" PRId64 ", not to %d",
					sum, BUSP_WEIGHT_SUM);
	}
	return BUS_STR_NULL;
}

/* Whole per cents that sum to `rest`: each its share rounded down, and one more for those
 * that lost most by it, the older release first. */
static void
share(busp_targets *targets, int64_t rest)
{
	int64_t sum = 0, given = 0;
	int64_t lost[BUSP_TARGETS_MAX + 1];
	for (size_t i = 0; i < targets->count; i++) {
		sum += targets->rows[i].weight;
	}
	for (size_t i = 0; i < targets->count; i++) {
		int64_t exact = rest * targets->rows[i].weight;
		targets->rows[i].weight = exact / sum;
		lost[i] = exact % sum;
		given += exact / sum;
	}
	for (; given < rest; given++) {
		size_t most = 0;
		for (size_t i = 1; i < targets->count; i++) {
			most = lost[i] > lost[most] ? i : most;
		}
		targets->rows[most].weight++;
		lost[most] = -1;
	}
}

busp_targets
busp_targets_shift(const busp_targets *before, int64_t release, int64_t weight)
{
	busp_targets others = { .count = 0 }, after = { .count = 0 };
	for (size_t i = 0; i < before->count; i++) {
		if (before->rows[i].release != release && before->rows[i].weight > 0) {
			others.rows[others.count++] = before->rows[i];
		}
	}
	weight = others.count == 0 ? BUSP_WEIGHT_SUM : weight;
	if (others.count > 0) {
		share(&others, BUSP_WEIGHT_SUM - weight);
	}
	for (size_t i = 0; i < others.count; i++) {
		if (others.rows[i].weight > 0) {
			after.rows[after.count++] = others.rows[i];
		}
	}
	if (weight > 0) {
		after.rows[after.count].release = release;
		after.rows[after.count++].weight = weight;
	}
	sort(&after);
	return after;
}
