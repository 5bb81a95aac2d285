/*
 * writing.c - publications that fail, are uncertain, or come twice
 */
#include <stdlib.h>

#include "broker-adapters/fault/fault.h"
#include "core/partition.h"

/* A partition in which an event of this call is missing: no later one may be there. */
typedef struct busp_gap {
	const char *topic;
	int32_t partition;
} busp_gap;

/* What goes to the inner adapter, and whom its outcome concerns. */
typedef struct busp_passed {
	bus_publication *publication; /* NULL: a repeat nobody knows of */
	bool denied;                  /* its writer hears UNCERTAIN */
} busp_passed;

typedef struct busp_plan {
	bus_publication *batch;
	busp_passed *passed;
	size_t count;
	busp_gap *gaps;
	size_t gap_count;
} busp_plan;

static bool
busp_plan_has_gap(const busp_plan *plan, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < plan->gap_count; i++) {
		if (plan->gaps[i].partition == partition &&
		    strcmp(plan->gaps[i].topic, topic) == 0) {
			return true;
		}
	}
	return false;
}

static void
busp_plan_pass(busp_plan *plan, const bus_publication *publication,
	       bus_publication *concerned, bool denied)
{
	plan->batch[plan->count] = *publication;
	plan->passed[plan->count++] = (busp_passed){ concerned, denied };
}

/* Does chance, or a gap before it, keep this one out of the log? */
static bool
busp_plan_misses(busp_fault *self, bus_publication *publication, bool behind_gap)
{
	publication->outcome = BUS_OUTCOME_FAILED;
	if (behind_gap || busp_fault_strikes(self, BUSP_FAULT_FAIL)) {
		return true;
	}
	if (busp_fault_strikes(self, BUSP_FAULT_UNCERTAIN)) {
		publication->outcome = BUS_OUTCOME_UNCERTAIN;
		return busp_fault_below(self, 2) == 0;
	}
	return false;
}

static void
busp_plan_one(busp_fault *self, busp_plan *plan, bus_publication *publication,
	      int32_t partition)
{
	bool behind_gap = busp_plan_has_gap(plan, publication->topic, partition);

	if (!busp_plan_misses(self, publication, behind_gap)) {
		busp_plan_pass(plan, publication, publication,
			       publication->outcome == BUS_OUTCOME_UNCERTAIN);
		if (busp_fault_strikes(self, BUSP_FAULT_DUPLICATE)) {
			busp_plan_pass(plan, publication, NULL, false);
		}
	} else if (!behind_gap) {
		plan->gaps[plan->gap_count++] =
			(busp_gap){ publication->topic, partition };
	}
}

/* Where a publication goes. False: the inner adapter will refuse it. */
static bool
busp_plan_partition(busp_fault *self, const bus_publication *publication, int timeout_ms,
		    int32_t *ret_partition)
{
	int32_t count = 0;
	bus_error ignored = BUS_ERROR_INIT;

	*ret_partition = publication->partition;
	if (bus_adapter_partitions(self->inner, publication->topic, timeout_ms, &count,
				   &ignored) != BUS_OK) {
		return false;
	}
	if (publication->partition == BUS_PARTITION_HOME) {
		*ret_partition = bus_partition_home(publication->record.key, count);
	}
	return true;
}

/* The inner adapter's outcomes, given to those they concern. */
static void
busp_plan_report(const busp_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		bus_publication *publication = plan->passed[i].publication;

		if (publication == NULL) {
			continue;
		}
		*publication = plan->batch[i];
		if (plan->passed[i].denied &&
		    publication->outcome == BUS_OUTCOME_DURABLE) {
			publication->outcome = BUS_OUTCOME_UNCERTAIN;
		}
	}
}

static bus_status
busp_fault_conclude(const bus_publication *publications, size_t count, bus_status status,
		    bus_error *err)
{
	size_t failed = 0;
	size_t uncertain = 0;

	for (size_t i = 0; i < count; i++) {
		failed += publications[i].outcome == BUS_OUTCOME_FAILED;
		uncertain += publications[i].outcome == BUS_OUTCOME_UNCERTAIN;
	}
	if (status == BUS_E_FATAL || failed + uncertain == 0) {
		return status;
	}
	return bus_error_set(err, uncertain > 0 ? BUS_E_UNKNOWN : BUS_E_RETRY,
			     BUSP_ORIGIN, 0,
			     "publish: %zu of %zu events failed, %zu are uncertain",
			     failed, count, uncertain);
}

bus_status
busp_fault_publish(bus_adapter *adapter, bus_publication *publications, size_t count,
		   int timeout_ms, bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);
	busp_plan plan = {
		.batch = busp_adapter_alloc(2 * count, sizeof(*plan.batch)),
		.passed = busp_adapter_alloc(2 * count, sizeof(*plan.passed)),
		.gaps = busp_adapter_alloc(count, sizeof(*plan.gaps)),
	};

	for (size_t i = 0; i < count; i++) {
		int32_t partition = 0;

		publications[i].outcome = BUS_OUTCOME_FAILED;
		publications[i].native_code = 0;
		if (busp_plan_partition(self, &publications[i], timeout_ms, &partition)) {
			busp_plan_one(self, &plan, &publications[i], partition);
		} else {
			busp_plan_pass(&plan, &publications[i], &publications[i], false);
		}
	}
	bus_status status =
		bus_adapter_publish(self->inner, plan.batch, plan.count, timeout_ms, err);

	busp_plan_report(&plan);
	free(plan.batch);
	free(plan.passed);
	free(plan.gaps);
	return busp_fault_conclude(publications, count, status, err);
}
