/*
 * later.h - what becomes of releases after they were rolled out; private to deploy
 */
#ifndef BUSP_DEPLOY_LATER_H
#define BUSP_DEPLOY_LATER_H

#include "workers/deploy/handler.h"

/* The release that a step of a saga made; ABSENT if it made none. */
bus_found busp_release_of_step(bus_fold *fold, bus_str sagaid, bus_str step,
			       const bus_release_row **ret_release);

bus_verdict busp_on_verify_requested(bus_fold *fold, const bus_event *event,
				     const json_t *data);
bus_verdict busp_on_verified(bus_fold *fold, const bus_event *event, const json_t *data);
bus_verdict busp_on_verify_failed(bus_fold *fold, const bus_event *event,
				  const json_t *data);
bus_verdict busp_on_retire_requested(bus_fold *fold, const bus_event *event,
				     const json_t *data);
bus_verdict busp_on_retired(bus_fold *fold, const bus_event *event, const json_t *data);
bus_verdict busp_on_retire_failed(bus_fold *fold, const bus_event *event,
				  const json_t *data);

#endif
