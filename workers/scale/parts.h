/*
 * parts.h - the parts of scale; private to it
 */
#ifndef BUSP_SCALE_PARTS_H
#define BUSP_SCALE_PARTS_H

#include "workers/scale/handler.h"

/* quota.c: reserving replicas before they are asked for */
bus_verdict busp_on_quota_set(bus_fold *fold, const bus_event *event, const json_t *data);
bus_verdict busp_on_quota_reserve(bus_fold *fold, const bus_event *event,
				  const json_t *data);
bus_verdict busp_on_quota_release(bus_fold *fold, const bus_event *event,
				  const json_t *data);
bus_verdict busp_on_quota_answer(bus_fold *fold, const bus_event *event,
				 const json_t *data);

/* revert.c: back to what was wanted before a step of a saga */
bool busp_scale_repeated(bus_fold *fold, const bus_event *event, const json_t *data,
			 bus_verdict *ret_verdict);
/* @before: NULL if the process was never scaled; @row: as it will be */
void busp_scale_remember(bus_fold *fold, const bus_event *event,
			 const bus_scale_row *before, const bus_scale_row *row);
bus_verdict busp_on_revert_requested(bus_fold *fold, const bus_event *event,
				     const json_t *data);

/* check.c: whether all replicas work */
bus_verdict busp_on_scale_verify_requested(bus_fold *fold, const bus_event *event,
					   const json_t *data);
bus_verdict busp_on_scale_verified(bus_fold *fold, const bus_event *event,
				   const json_t *data);
bus_verdict busp_on_scale_verify_failed(bus_fold *fold, const bus_event *event,
					const json_t *data);

#endif
