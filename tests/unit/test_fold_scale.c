/*
 * test_fold_scale.c - what each event does to wanted and observed replicas
 */
#include "tests/support/fold_bench.h"
#include "tests/support/suite.h"
#include "workers/scale/handler.h"

/* Three wanted and there, between two and five. */
#define THREE                                                                              \
	"{'scale':[{'process':'web','desired':3,'observed':3,'min':2,'max':5,'version':4," \
	"'status':'succeeded'}]}"

static const bus_fold_case cases[] = {
	{
		.name = "the first request counts from 0 within 0 to 10000",
		.type = "scale.requested",
		.data = "{'process':'web','replicas':10000}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':10000,'min':0,'max':10000,"
			  "'version':1,'status':'requested'}]}",
	},
	{
		.name = "a first relative request",
		.type = "scale.requested",
		.data = "{'process':'web','delta':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':2,'min':0,'max':10000,"
			  "'version':1,'status':'requested'}]}",
	},
	{
		.name = "none is a number too",
		.type = "scale.requested",
		.data = "{'process':'web','replicas':0}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':0,'min':0,'max':10000,"
			  "'version':1,'status':'requested'}]}",
	},
	{
		.name = "fewer than none is refused",
		.type = "scale.requested",
		.data = "{'process':'web','delta':-1}",
		.verdict = BUS_REJECTED,
		.reason = "-1 replicas are out of bounds: min 0, max 10000",
		.emits = "[{'type':'scale.failed','data':{'process':'web','reason':"
			 "'-1 replicas are out of bounds: min 0, max 10000'}}]",
	},
	{
		.name = "an absolute request",
		.given = THREE,
		.type = "scale.requested",
		.data = "{'process':'web','replicas':5}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'scale':[{'process':'web','desired':5,'observed':3,'min':2,'max':5,"
			"'version':5,'status':'requested'}]}",
	},
	{
		.name = "a relative request counts from what is wanted, not from what is there",
		.given = "{'scale':[{'process':'web','desired':4,'observed':1,'min':0,'max':9,"
			 "'version':4,'status':'failed','reason':'no memory'}]}",
		.type = "scale.requested",
		.data = "{'process':'web','delta':-2}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'scale':[{'process':'web','desired':2,'observed':1,'min':0,'max':9,"
			"'version':5,'status':'requested'}]}",
	},
	{
		.name = "above the bounds is refused",
		.given = THREE,
		.type = "scale.requested",
		.data = "{'process':'web','replicas':6}",
		.verdict = BUS_REJECTED,
		.reason = "6 replicas are out of bounds: min 2, max 5",
		.emits = "[{'type':'scale.failed','data':{'process':'web','reason':"
			 "'6 replicas are out of bounds: min 2, max 5'}}]",
	},
	{
		.name = "below the bounds is refused",
		.given = THREE,
		.type = "scale.requested",
		.data = "{'process':'web','delta':-2}",
		.verdict = BUS_REJECTED,
		.reason = "1 replicas are out of bounds: min 2, max 5",
		.emits = "[{'type':'scale.failed','data':{'process':'web','reason':"
			 "'1 replicas are out of bounds: min 2, max 5'}}]",
	},
	{
		.name = "bounds are set before they are looked at",
		.given = THREE,
		.type = "scale.requested",
		.data = "{'process':'web','replicas':8,'min':8,'max':8}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'scale':[{'process':'web','desired':8,'observed':3,'min':8,'max':8,"
			"'version':5,'status':'requested'}]}",
	},
	{
		.name = "one bound alone",
		.given = THREE,
		.type = "scale.requested",
		.data = "{'process':'web','delta':1,'max':4}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'scale':[{'process':'web','desired':4,'observed':3,'min':2,'max':4,"
			"'version':5,'status':'requested'}]}",
	},
	{
		.name = "bounds the wrong way round are refused",
		.given = THREE,
		.type = "scale.requested",
		.data = "{'process':'web','replicas':3,'max':1}",
		.verdict = BUS_REJECTED,
		.reason = "min 2 is greater than max 1",
		.emits = "[{'type':'scale.failed','data':{'process':'web','reason':"
			 "'min 2 is greater than max 1'}}]",
	},
	{
		.name = "processes have their own numbers",
		.given = THREE,
		.type = "scale.requested",
		.data = "{'process':'batch','delta':1}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'batch','desired':1,'min':0,'max':10000,"
			  "'version':1,'status':'requested'}]}",
	},
	{
		.name = "a request names the app",
		.type = "scale.requested",
		.subject = "",
		.data = "{'process':'web','replicas':1}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "success with what is wanted",
		.given = "{'scale':[{'process':'web','desired':4,'observed':1,'min':0,'max':9,"
			 "'version':4,'status':'failed','reason':'no memory'}]}",
		.type = "scale.succeeded",
		.data = "{'process':'web','replicas':4}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'scale':[{'process':'web','desired':4,'observed':4,'min':0,'max':9,"
			"'version':4,'status':'succeeded'}]}",
	},
	{
		.name = "success of an earlier request leaves the newest under way",
		.given = "{'scale':[{'process':'web','desired':4,'observed':1,'min':0,'max':9,"
			 "'version':4,'status':'requested'}]}",
		.type = "scale.succeeded",
		.data = "{'process':'web','replicas':2}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'scale':[{'process':'web','desired':4,'observed':2,'min':0,'max':9,"
			"'version':4,'status':'requested'}]}",
	},
	{
		.name = "success of a process that was never scaled",
		.given = THREE,
		.type = "scale.succeeded",
		.data = "{'process':'batch','replicas':2}",
		.verdict = BUS_IGNORED,
		.reason = "process batch was never scaled",
	},
	{
		.name = "failure",
		.given = THREE,
		.type = "scale.failed",
		.data = "{'process':'web','reason':'no memory'}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'scale':[{'process':'web','desired':3,'observed':3,'min':2,'max':5,"
			"'version':4,'status':'failed','reason':'no memory'}]}",
	},
	{
		.name = "failure of a process that was never scaled",
		.type = "scale.failed",
		.data = "{'process':'web','reason':'no memory'}",
		.verdict = BUS_IGNORED,
		.reason = "process web was never scaled",
	},
	{
		.name = "failure by our own refusal",
		.given = THREE,
		.type = "scale.failed",
		.source = "/busline/worker/scale",
		.data = "{'process':'web','reason':'6 replicas are out of bounds'}",
		.verdict = BUS_IGNORED,
		.reason = "it answers a refused request",
	},
	/* ---- sagas: steps, quotas, checks ---- */
	{
		.name = "a step remembers what was wanted before",
		.given = "{'scale':[{'process':'web','desired':3,'observed':3,'min':1,"
			 "'max':5,'version':4,'status':'succeeded'}]}",
		.type = "scale.requested",
		.sagastep = "more/do/1",
		.data = "{'process':'web','delta':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':5,'observed':3,'min':1,"
			  "'max':5,'version':5,'status':'requested'}],"
			  "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			  "'process':'web','version':5,'desired_before':3,"
			  "'min_before':1,'max_before':5,'status':'applied'}]}",
	},
	{
		.name = "a step remembers that nothing was wanted before",
		.type = "scale.requested",
		.sagastep = "more/do/1",
		.data = "{'process':'web','replicas':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':2,'min':0,'max':10000,"
			  "'version':1,'status':'requested'}],"
			  "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			  "'process':'web','version':1,'status':'applied'}]}",
	},
	{
		.name = "another attempt does not add twice",
		.given = "{'scale':[{'process':'web','desired':5,'observed':3,'min':0,"
			 "'max':10,'version':5,'status':'requested'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':5,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'applied'}]}",
		.type = "scale.requested",
		.sagastep = "more/do/2",
		.data = "{'process':'web','delta':2}",
		.verdict = BUS_IGNORED,
		.reason = "an earlier attempt did it",
	},
	{
		.name = "another attempt at what is done is answered",
		.given = "{'scale':[{'process':'web','desired':5,'observed':5,'min':0,"
			 "'max':10,'version':5,'status':'succeeded'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':5,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'applied'}]}",
		.type = "scale.requested",
		.sagastep = "more/do/2",
		.data = "{'process':'web','delta':2}",
		.verdict = BUS_IGNORED,
		.reason = "an earlier attempt did it",
		.emits = "[{'type':'scale.succeeded','data':{'process':'web',"
			 "'replicas':5}}]",
	},
	{
		.name = "another attempt after a failure tries the same again",
		.given = "{'scale':[{'process':'web','desired':5,'observed':3,'min':0,"
			 "'max':10,'version':5,'status':'failed',"
			 "'reason':'no memory'}],'scale_step':[{'sagaid':'saga-1',"
			 "'step':'more/do','process':'web','version':5,"
			 "'desired_before':3,'min_before':1,'max_before':5,"
			 "'status':'applied'}]}",
		.type = "scale.requested",
		.sagastep = "more/do/2",
		.data = "{'process':'web','delta':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':5,'observed':3,'min':0,"
			  "'max':10,'version':5,'status':'requested'}]}",
	},
	{
		.name = "another attempt does not undo what somebody else wants",
		.given = "{'scale':[{'process':'web','desired':9,'observed':3,'min':0,"
			 "'max':10,'version':6,'status':'requested'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':5,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'applied'}]}",
		.type = "scale.requested",
		.sagastep = "more/do/2",
		.data = "{'process':'web','delta':2}",
		.verdict = BUS_IGNORED,
		.reason = "an earlier attempt did it,"
			  " and somebody has scaled the process since",
	},
	{
		.name = "an attempt after its compensation is refused",
		.given = "{'scale':[{'process':'web','desired':3,'observed':3,'min':0,"
			 "'max':10,'version':6,'status':'succeeded'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':6,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'reverted'}]}",
		.type = "scale.requested",
		.sagastep = "more/do/2",
		.data = "{'process':'web','delta':2}",
		.verdict = BUS_REJECTED,
		.reason = "this step of the saga was taken back already",
		.emits = "[{'type':'scale.failed','data':{'process':'web',"
			 "'reason':'this step of the saga was taken back already'}}]",
	},
	{
		.name = "a compensation goes back to what was wanted before",
		.given = "{'scale':[{'process':'web','desired':5,'observed':5,'min':0,"
			 "'max':10,'version':5,'status':'succeeded'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':5,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'applied'}]}",
		.type = "scale.revert-requested",
		.sagastep = "more/undo/1",
		.data = "{'process':'web'}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':3,'observed':5,'min':1,"
			  "'max':5,'version':6,'status':'requested'}],"
			  "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			  "'process':'web','version':6,'desired_before':3,"
			  "'min_before':1,'max_before':5,'status':'reverted'}]}",
	},
	{
		.name = "a compensation of the first scaling goes to none",
		.given = "{'scale':[{'process':'web','desired':5,'observed':5,'min':0,"
			 "'max':10,'version':1,'status':'succeeded'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':1,'status':'applied'}]}",
		.type = "scale.revert-requested",
		.sagastep = "more/undo/1",
		.data = "{'process':'web'}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':0,'observed':5,'min':0,"
			  "'max':10,'version':2,'status':'requested'}],"
			  "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			  "'process':'web','version':2,'status':'reverted'}]}",
	},
	{
		.name = "a compensation leaves what somebody else wants",
		.given = "{'scale':[{'process':'web','desired':9,'observed':5,'min':0,"
			 "'max':10,'version':6,'status':'requested'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':5,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'applied'}]}",
		.type = "scale.revert-requested",
		.sagastep = "more/undo/1",
		.data = "{'process':'web'}",
		.verdict = BUS_IGNORED,
		.reason = "nothing to revert: somebody else has scaled the process since",
		.emits = "[{'type':'scale.reverted','data':{'process':'web',"
			 "'reason':'somebody else has scaled the process since'}}]",
	},
	{
		.name = "a compensation of a step that did nothing is answered",
		.given = "{'scale':[{'process':'web','desired':5,'observed':5,'min':0,"
			 "'max':10,'version':5,'status':'succeeded'}]}",
		.type = "scale.revert-requested",
		.sagastep = "more/undo/1",
		.data = "{'process':'web'}",
		.verdict = BUS_IGNORED,
		.reason = "nothing to revert: this step of the saga has not scaled the "
			  "process",
		.emits = "[{'type':'scale.reverted','data':{'process':'web',"
			 "'reason':'this step of the saga has not scaled the process'}}]",
	},
	{
		.name = "a compensation of another process than its step's is answered",
		.given = "{'scale':[{'process':'batch','desired':1,'min':0,'max':10,"
			 "'version':5,'status':'succeeded'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':5,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'applied'}]}",
		.type = "scale.revert-requested",
		.sagastep = "more/undo/1",
		.data = "{'process':'batch'}",
		.verdict = BUS_IGNORED,
		.reason = "nothing to revert: this step of the saga has not scaled the "
			  "process",
		.emits = "[{'type':'scale.reverted','data':{'process':'batch',"
			 "'reason':'this step of the saga has not scaled the process'}}]",
	},
	{
		.name = "a second compensation changes nothing",
		.given = "{'scale':[{'process':'web','desired':3,'observed':5,'min':0,"
			 "'max':10,'version':6,'status':'requested'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':6,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'reverted'}]}",
		.type = "scale.revert-requested",
		.sagastep = "more/undo/2",
		.data = "{'process':'web'}",
		.verdict = BUS_IGNORED,
		.reason = "an earlier attempt did it",
	},
	{
		.name = "a second compensation of what is reverted is answered",
		.given = "{'scale':[{'process':'web','desired':3,'observed':3,'min':0,"
			 "'max':10,'version':6,'status':'succeeded'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':6,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'reverted'}]}",
		.type = "scale.revert-requested",
		.sagastep = "more/undo/2",
		.data = "{'process':'web'}",
		.verdict = BUS_IGNORED,
		.reason = "an earlier attempt did it",
		.emits = "[{'type':'scale.reverted','data':{'process':'web',"
			 "'replicas':3}}]",
	},
	{
		.name = "a compensation after a failed one tries the same again",
		.given = "{'scale':[{'process':'web','desired':3,'observed':5,'min':0,"
			 "'max':10,'version':6,'status':'failed','reason':'x'}],"
			 "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			 "'process':'web','version':6,'desired_before':3,"
			 "'min_before':1,'max_before':5,'status':'reverted'}]}",
		.type = "scale.revert-requested",
		.sagastep = "more/undo/2",
		.data = "{'process':'web'}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':3,'observed':5,'min':0,"
			  "'max':10,'version':6,'status':'requested'}],"
			  "'scale_step':[{'sagaid':'saga-1','step':'more/do',"
			  "'process':'web','version':6,'desired_before':3,"
			  "'min_before':1,'max_before':5,'status':'reverted'}]}",
	},
	{
		.name = "a revert names the app",
		.type = "scale.revert-requested",
		.subject = "",
		.data = "{'process':'web'}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "a process is reverted",
		.given = "{'scale':[{'process':'web','desired':3,'observed':5,'min':0,"
			 "'max':10,'version':6,'status':'requested'}]}",
		.type = "scale.reverted",
		.data = "{'process':'web','replicas':3}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale':[{'process':'web','desired':3,'observed':3,'min':0,"
			  "'max':10,'version':6,'status':'succeeded'}]}",
	},
	{
		.name = "nothing was reverted",
		.given = "{'scale':[{'process':'web','desired':3,'observed':5,'min':0,"
			 "'max':10,'version':6,'status':'requested'}]}",
		.type = "scale.reverted",
		.data = "{'process':'web','reason':'x'}",
		.verdict = BUS_IGNORED,
		.reason = "nothing was reverted",
	},
	{
		.name = "a limit is set",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':4}]}",
		.type = "scale.quota-set",
		.data = "{'process':'web','limit':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'quota':[{'process':'web','replicas_max':2,'reserved':4}]}",
	},
	{
		.name = "a limit is set for the first time",
		.type = "scale.quota-set",
		.data = "{'process':'web','limit':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'quota':[{'process':'web','replicas_max':2,'reserved':0}]}",
	},
	{
		.name = "the first reservation, with the limit of those who have none",
		.type = "scale.quota-reserve-requested",
		.sagastep = "reserve/do/1",
		.data = "{'process':'web','replicas':3}",
		.verdict = BUS_APPLIED,
		.writes = "{'quota':[{'process':'web','replicas_max':10000,"
			  "'reserved':3}],'quota_step':[{'sagaid':'saga-1',"
			  "'step':'reserve/do','process':'web','replicas':3,"
			  "'status':'reserved'}]}",
		.emits = "[{'type':'scale.quota-reserved','data':{'process':'web',"
			 "'replicas':3,'reserved':3,'limit':10000}}]",
	},
	{
		.name = "the last that fits",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':7}]}",
		.type = "scale.quota-reserve-requested",
		.data = "{'process':'web','replicas':3}",
		.verdict = BUS_APPLIED,
		.writes = "{'quota':[{'process':'web','replicas_max':10,"
			  "'reserved':10}]}",
		.emits = "[{'type':'scale.quota-reserved','data':{'process':'web',"
			 "'replicas':3,'reserved':10,'limit':10}}]",
	},
	{
		.name = "one too many",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':8}]}",
		.type = "scale.quota-reserve-requested",
		.sagastep = "reserve/do/1",
		.data = "{'process':'web','replicas':3}",
		.verdict = BUS_IGNORED,
		.reason = "denied: 8 of 10 are reserved, 3 more do not fit",
		.emits = "[{'type':'scale.quota-denied','data':{'process':'web',"
			 "'reason':'8 of 10 are reserved, 3 more do not fit'}}]",
	},
	{
		.name = "another attempt does not reserve twice",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':8}],"
			 "'quota_step':[{'sagaid':'saga-1','step':'reserve/do',"
			 "'process':'web','replicas':3,'status':'reserved'}]}",
		.type = "scale.quota-reserve-requested",
		.sagastep = "reserve/do/2",
		.data = "{'process':'web','replicas':3}",
		.verdict = BUS_IGNORED,
		.reason = "an earlier attempt has reserved 3",
		.emits = "[{'type':'scale.quota-reserved','data':{'process':'web',"
			 "'replicas':3,'reserved':8,'limit':10}}]",
	},
	{
		.name = "an attempt after its compensation gets none",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':1}],"
			 "'quota_step':[{'sagaid':'saga-1','step':'reserve/do',"
			 "'process':'web','replicas':3,'status':'released'}]}",
		.type = "scale.quota-reserve-requested",
		.sagastep = "reserve/do/2",
		.data = "{'process':'web','replicas':3}",
		.verdict = BUS_IGNORED,
		.reason = "denied: this step of the saga was taken back already",
		.emits = "[{'type':'scale.quota-denied','data':{'process':'web',"
			 "'reason':'this step of the saga was taken back already'}}]",
	},
	{
		.name = "a compensation gives back what its step has",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':8}],"
			 "'quota_step':[{'sagaid':'saga-1','step':'reserve/do',"
			 "'process':'web','replicas':3,'status':'reserved'}]}",
		.type = "scale.quota-release-requested",
		.sagastep = "reserve/undo/1",
		.data = "{'process':'web'}",
		.verdict = BUS_APPLIED,
		.writes = "{'quota':[{'process':'web','replicas_max':10,'reserved':5}],"
			  "'quota_step':[{'sagaid':'saga-1','step':'reserve/do',"
			  "'process':'web','replicas':3,'status':'released'}]}",
		.emits = "[{'type':'scale.quota-released','data':{'process':'web',"
			 "'replicas':3,'reserved':5}}]",
	},
	{
		.name = "a second compensation gives back nothing",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':5}],"
			 "'quota_step':[{'sagaid':'saga-1','step':'reserve/do',"
			 "'process':'web','replicas':3,'status':'released'}]}",
		.type = "scale.quota-release-requested",
		.sagastep = "reserve/undo/2",
		.data = "{'process':'web'}",
		.verdict = BUS_IGNORED,
		.reason = "there is nothing to give back",
		.emits = "[{'type':'scale.quota-released','data':{'process':'web',"
			 "'replicas':0,'reserved':5}}]",
	},
	{
		.name = "a compensation before its step ends it",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':5}]}",
		.type = "scale.quota-release-requested",
		.sagastep = "reserve/undo/1",
		.data = "{'process':'web'}",
		.verdict = BUS_APPLIED,
		.writes = "{'quota':[{'process':'web','replicas_max':10,'reserved':5}],"
			  "'quota_step':[{'sagaid':'saga-1','step':'reserve/do',"
			  "'process':'web','replicas':0,'status':'released'}]}",
		.emits = "[{'type':'scale.quota-released','data':{'process':'web',"
			 "'replicas':0,'reserved':5}}]",
	},
	{
		.name = "a number is given back",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':5}]}",
		.type = "scale.quota-release-requested",
		.data = "{'process':'web','replicas':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'quota':[{'process':'web','replicas_max':10,'reserved':3}]}",
		.emits = "[{'type':'scale.quota-released','data':{'process':'web',"
			 "'replicas':2,'reserved':3}}]",
	},
	{
		.name = "no more is given back than there is",
		.given = "{'quota':[{'process':'web','replicas_max':10,'reserved':1}]}",
		.type = "scale.quota-release-requested",
		.data = "{'process':'web','replicas':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'quota':[{'process':'web','replicas_max':10,'reserved':0}]}",
		.emits = "[{'type':'scale.quota-released','data':{'process':'web',"
			 "'replicas':1,'reserved':0}}]",
	},
	{
		.name = "nothing is there to give back",
		.type = "scale.quota-release-requested",
		.data = "{'process':'web','replicas':2}",
		.verdict = BUS_IGNORED,
		.reason = "there is nothing to give back",
		.emits = "[{'type':'scale.quota-released','data':{'process':'web',"
			 "'replicas':0,'reserved':0}}]",
	},
	{
		.name = "quota-set names the app",
		.type = "scale.quota-set",
		.subject = "",
		.data = "{'process':'web','limit':2}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "quota-reserve-requested names the app",
		.type = "scale.quota-reserve-requested",
		.subject = "",
		.data = "{'process':'web','replicas':3}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "quota-release-requested names the app",
		.type = "scale.quota-release-requested",
		.subject = "",
		.data = "{'process':'web'}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "verify-requested names the app",
		.type = "scale.verify-requested",
		.subject = "",
		.data = "{'process':'web'}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "whether all work is asked",
		.given = "{'scale':[{'process':'web','desired':3,'observed':3,'min':0,"
			 "'max':10,'version':6,'status':'succeeded'}]}",
		.type = "scale.verify-requested",
		.actor = "ann",
		.data = "{'process':'web'}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale_check':[{'process':'web','status':'requested',"
			  "'requested_by':'ann','requested_at':1000}]}",
	},
	{
		.name = "whether a process works that was never scaled is refused",
		.type = "scale.verify-requested",
		.data = "{'process':'web'}",
		.verdict = BUS_REJECTED,
		.reason = "the process was never scaled",
		.emits = "[{'type':'scale.verify-failed','data':{'process':'web',"
			 "'reason':'the process was never scaled'}}]",
	},
	{
		.name = "all work",
		.given = "{'scale_check':[{'process':'web','status':'failed',"
			 "'reason':'slow','requested_at':1,'finished_at':2}]}",
		.type = "scale.verified",
		.data = "{'process':'web'}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale_check':[{'process':'web','status':'verified',"
			  "'requested_at':1,'finished_at':1000}]}",
	},
	{
		.name = "not all work",
		.given = "{'scale_check':[{'process':'web','status':'requested',"
			 "'requested_at':1}]}",
		.type = "scale.verify-failed",
		.data = "{'process':'web','reason':'slow'}",
		.verdict = BUS_APPLIED,
		.writes = "{'scale_check':[{'process':'web','status':'failed',"
			  "'reason':'slow','requested_at':1,'finished_at':1000}]}",
	},
	{
		.name = "nobody asked whether they work",
		.type = "scale.verified",
		.data = "{'process':'web'}",
		.verdict = BUS_IGNORED,
		.reason = "nobody asked whether process web works",
	},
	{ 0 },
};

static void
every_event(void)
{
	bus_bench_cases(&bus_scale_worker, cases);
}

static void
own_refusal(void)
{
	static const bus_fold_case refused = {
		.name = "own refusal",
		.given = THREE,
		.type = "scale.requested",
		.data = "{'process':'web','replicas':6}",
	};
	static const bus_fold_case others[] = {
		{ .name = "own verification",
		  .given = "{'scale_check':[{'process':'web','status':'verified'}]}",
		  .type = "scale.verify-requested",
		  .data = "{'process':'web'}" },
		{ .name = "own revert",
		  .given = THREE,
		  .type = "scale.revert-requested",
		  .sagastep = "more/undo/1",
		  .data = "{'process':'web'}" },
		{ .name = "own denial",
		  .type = "scale.quota-reserve-requested",
		  .given = "{'quota':[{'process':'web','replicas_max':0,'reserved':0}]}",
		  .data = "{'process':'web','replicas':1}" },
		{ .name = "own reservation, again",
		  .given = "{'quota_step':[{'sagaid':'saga-1','step':'reserve/do',"
			   "'process':'web','replicas':3,'status':'reserved'}]}",
		  .type = "scale.quota-reserve-requested",
		  .sagastep = "reserve/do/2",
		  .data = "{'process':'web','replicas':1}" },
		{ .name = "own release",
		  .type = "scale.quota-release-requested",
		  .data = "{'process':'web','replicas':1}" },
	};
	CU_ASSERT_EQUAL(bus_bench_echo(&bus_scale_worker, &refused), BUS_IGNORED);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		CU_ASSERT_EQUAL(bus_bench_echo(&bus_scale_worker, &others[i]),
				BUS_IGNORED);
	}
}

static void
any_history(void)
{
	static const bus_fold_draw draws[] = {
		{ "scale.requested", "{'process':'web','replicas':#}" },
		{ "scale.requested", "{'process':'web','delta':#}" },
		{ "scale.requested", "{'process':'web','delta':-#}" },
		{ "scale.requested", "{'process':'web','delta':#,'min':#}" },
		{ "scale.requested", "{'process':'batch','replicas':#,'min':#,'max':#}" },
		{ "scale.succeeded", "{'process':'web','replicas':#}" },
		{ "scale.failed", "{'process':'web','reason':'reason #'}" },
		{ "scale.failed", "{'process':'batch','reason':'reason #'}" },
		{ "scale.failed", "{'process':'cron','reason':'reason #'}" },
		{ "scale.requested @more/do/#", "{'process':'web','delta':#}" },
		{ "scale.requested @more#/do/#", "{'process':'batch','replicas':#}" },
		{ "scale.revert-requested @more/undo/#", "{'process':'web'}" },
		{ "scale.revert-requested @more#/undo/#", "{'process':'batch'}" },
		{ "scale.reverted", "{'process':'web','replicas':#}" },
		{ "scale.quota-set", "{'process':'web','limit':#}" },
		{ "scale.quota-reserve-requested @reserve#/do/#",
		  "{'process':'web','replicas':#}" },
		{ "scale.quota-release-requested @reserve#/undo/#", "{'process':'web'}" },
		{ "scale.quota-release-requested", "{'process':'web','replicas':#}" },
		{ "scale.verify-requested @verify/do/#", "{'process':'web'}" },
		{ "scale.verified", "{'process':'web'}" },
		{ "scale.verify-failed", "{'process':'web','reason':'reason #'}" },
	};
	bus_bench_histories(&bus_scale_worker, draws, sizeof(draws) / sizeof(draws[0]));
}

static const bus_case suite_cases[] = {
	{ "each event does what it says", every_event },
	{ "a refusal that comes back changes nothing", own_refusal },
	{ "the same history gives the same rows however it is folded", any_history },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { .name = "fold_scale", .cases = suite_cases };
