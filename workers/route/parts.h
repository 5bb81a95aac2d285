/*
 * parts.h - the parts of route; private to it
 */
#ifndef BUSP_ROUTE_PARTS_H
#define BUSP_ROUTE_PARTS_H

#include "workers/route/handler.h"

#define BUSP_WEIGHT_SUM 100
#define BUSP_TARGETS_MAX 16 /* of a version; as the schema of change-requested has it */

/* wish.c: what asks for a new version */
bus_verdict busp_on_change_requested(bus_fold *fold, const bus_event *event,
				     const json_t *data);
bus_verdict busp_on_shift_requested(bus_fold *fold, const bus_event *event,
				    const json_t *data);
bus_verdict busp_on_route_revert_requested(bus_fold *fold, const bus_event *event,
					   const json_t *data);
bus_verdict busp_on_remove_requested(bus_fold *fold, const bus_event *event,
				     const json_t *data);

/* targets.c: who gets how much */
typedef struct busp_targets {
	struct {
		int64_t release;
		int64_t weight;
	} rows[BUSP_TARGETS_MAX + 1]; /* by release */
	size_t count;
} busp_targets;

/* Of JSON [{"release", "weight"}, ...]. */
busp_targets busp_targets_read(const json_t *json);
/* Of a version's column. */
busp_targets busp_targets_parse(bus_str text);
bus_str busp_targets_text(const busp_targets *targets, bus_arena *arena);
/* What is wrong with them; absent if nothing is. */
bus_str busp_targets_check(const busp_targets *targets, bus_arena *arena);
/* The release gets this weight, the others the rest, in the proportions they have; whoever
 * gets nothing is left out. Where there are no others the release gets all. */
busp_targets busp_targets_shift(const busp_targets *before, int64_t release,
				int64_t weight);

#endif
