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
	CU_ASSERT_EQUAL(bus_bench_echo(&bus_scale_worker, &refused), BUS_IGNORED);
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
