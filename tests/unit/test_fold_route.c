/*
 * test_fold_route.c - what each event does to routes, their versions and targets
 */
#include "tests/support/fold_bench.h"
#include "tests/support/suite.h"
#include "workers/route/handler.h"

#define HOST "shop.example.com"
/* Version 1 is in effect, version 2 asked for. */
#define TWO                                                                              \
	"{'route':[{'host':'" HOST "','wanted_version':2,'applied_version':1}],"         \
	"'route_version':[{'host':'" HOST "','version':1,'status':'changed',"            \
	"'requested_at':1,'finished_at':2},"                                             \
	"{'host':'" HOST "','version':2,'status':'requested','reason':'canary',"         \
	"'requested_by':'ann','requested_at':3}]}"

static const bus_fold_case cases[] = {
	{
		.name = "the first change makes the route",
		.type = "route.change-requested",
		.actor = "ann",
		.data = "{'host':'" HOST "','targets':[{'release':1,'weight':100}],"
			"'reason':'launch'}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'" HOST "','wanted_version':1}],"
			  "'route_version':[{'host':'" HOST "','version':1,"
			  "'status':'requested','reason':'launch','requested_by':'ann',"
			  "'requested_at':1000,'targets':[{'release':1,'weight':100}]}],"
			  "'route_target':[{'host':'" HOST "','version':1,'release':1,"
			  "'weight':100}]}",
	},
	{
		.name = "the next change is a new version, and the one in effect stays",
		.given = TWO,
		.type = "route.change-requested",
		.data = "{'host':'" HOST "','targets':[{'release':7,'weight':90},"
			"{'release':8,'weight':10},{'release':6,'weight':0}]}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'" HOST "','wanted_version':3,"
			  "'applied_version':1}],"
			  "'route_version':[{'host':'" HOST "','version':3,"
			  "'status':'requested','requested_at':1000,'targets':["
			  "{'release':6,'weight':0},{'release':7,'weight':90},"
			  "{'release':8,'weight':10}]}],"
			  "'route_target':[{'host':'" HOST "','version':3,'release':6,"
			  "'weight':0},{'host':'" HOST "','version':3,'release':7,"
			  "'weight':90},{'host':'" HOST "','version':3,'release':8,"
			  "'weight':10}]}",
	},
	{
		.name = "weights below 100 are refused",
		.given = TWO,
		.type = "route.change-requested",
		.data = "{'host':'" HOST "','targets':[{'release':7,'weight':90},"
			"{'release':8,'weight':9}]}",
		.verdict = BUS_REJECTED,
		.reason = "weights sum to 99, not to 100",
		.emits = "[{'type':'route.failed','data':{'host':'" HOST "',"
			 "'reason':'weights sum to 99, not to 100'}}]",
	},
	{
		.name = "weights above 100 are refused",
		.type = "route.change-requested",
		.data = "{'host':'" HOST "','targets':[{'release':7,'weight':100},"
			"{'release':8,'weight':1}]}",
		.verdict = BUS_REJECTED,
		.reason = "weights sum to 101, not to 100",
		.emits = "[{'type':'route.failed','data':{'host':'" HOST "',"
			 "'reason':'weights sum to 101, not to 100'}}]",
	},
	{
		.name = "a release named twice is refused",
		.type = "route.change-requested",
		.data = "{'host':'" HOST "','targets':[{'release':7,'weight':50},"
			"{'release':8,'weight':0},{'release':7,'weight':50}]}",
		.verdict = BUS_REJECTED,
		.reason = "release 7 is named twice",
		.emits = "[{'type':'route.failed','data':{'host':'" HOST "',"
			 "'reason':'release 7 is named twice'}}]",
	},
	{
		.name = "a release named twice in a row is refused",
		.type = "route.change-requested",
		.data = "{'host':'" HOST "','targets':[{'release':7,'weight':50},"
			"{'release':7,'weight':50}]}",
		.verdict = BUS_REJECTED,
		.reason = "release 7 is named twice",
		.emits = "[{'type':'route.failed','data':{'host':'" HOST "',"
			 "'reason':'release 7 is named twice'}}]",
	},
	{
		.name = "a change names the app",
		.type = "route.change-requested",
		.subject = "",
		.data = "{'host':'" HOST "','targets':[{'release':1,'weight':100}]}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "a version takes effect",
		.given = TWO,
		.type = "route.changed",
		.data = "{'host':'" HOST "','version':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'" HOST "','wanted_version':2,"
			  "'applied_version':2}],"
			  "'route_version':[{'host':'" HOST "','version':2,"
			  "'status':'changed','reason':'canary','requested_by':'ann',"
			  "'requested_at':3,'finished_at':1000}]}",
	},
	{
		.name = "the first version takes effect",
		.given = "{'route':[{'host':'" HOST "','wanted_version':1}],"
			 "'route_version':[{'host':'" HOST "','version':1,"
			 "'status':'requested','requested_at':1}]}",
		.type = "route.changed",
		.data = "{'host':'" HOST "','version':1}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'" HOST "','wanted_version':1,"
			  "'applied_version':1}],"
			  "'route_version':[{'host':'" HOST "','version':1,"
			  "'status':'changed','requested_at':1,'finished_at':1000}]}",
	},
	{
		.name = "an older version that takes effect late does not hide a newer one",
		.given = "{'route':[{'host':'" HOST "','wanted_version':3,"
			 "'applied_version':3}],"
			 "'route_version':[{'host':'" HOST "','version':2,"
			 "'status':'requested','requested_at':1}]}",
		.type = "route.changed",
		.data = "{'host':'" HOST "','version':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'route_version':[{'host':'" HOST "','version':2,"
			  "'status':'changed','requested_at':1,'finished_at':1000}]}",
	},
	{
		.name = "a version takes effect once",
		.given = TWO,
		.type = "route.changed",
		.data = "{'host':'" HOST "','version':1}",
		.verdict = BUS_IGNORED,
		.reason = "version 1 is final: it took effect",
	},
	{
		.name = "an unknown version does not take effect",
		.given = TWO,
		.type = "route.changed",
		.data = "{'host':'" HOST "','version':3}",
		.verdict = BUS_IGNORED,
		.reason = "host " HOST " has no version 3",
	},
	{
		.name = "a version without its route is not guessed at",
		.given = "{'route_version':[{'host':'" HOST "','version':1,"
			 "'status':'requested','requested_at':1}]}",
		.type = "route.changed",
		.data = "{'host':'" HOST "','version':1}",
		.verdict = BUS_REJECTED,
		.reason = "version 1 belongs to no route",
	},
	{
		.name = "a version fails, and the one in effect stays",
		.given = TWO,
		.type = "route.failed",
		.data = "{'host':'" HOST "','version':2,'reason':'not healthy'}",
		.verdict = BUS_APPLIED,
		.writes = "{'route_version':[{'host':'" HOST "','version':2,"
			  "'status':'failed','reason':'not healthy','requested_by':'ann',"
			  "'requested_at':3,'finished_at':1000}]}",
	},
	{
		.name = "a version that failed does not take effect",
		.given = "{'route':[{'host':'" HOST "','wanted_version':1}],"
			 "'route_version':[{'host':'" HOST
			 "','version':1,'status':'failed',"
			 "'reason':'not healthy','requested_at':1,'finished_at':2}]}",
		.type = "route.changed",
		.data = "{'host':'" HOST "','version':1}",
		.verdict = BUS_IGNORED,
		.reason = "version 1 is final: it failed",
	},
	{
		.name = "an unknown version does not fail",
		.type = "route.failed",
		.data = "{'host':'" HOST "','version':1,'reason':'not healthy'}",
		.verdict = BUS_IGNORED,
		.reason = "host " HOST " has no version 1",
	},
	{
		.name = "failure without a version answers a refused request",
		.given = TWO,
		.type = "route.failed",
		.data = "{'host':'" HOST "','reason':'weights sum to 99, not to 100'}",
		.verdict = BUS_IGNORED,
		.reason = "no version named: it answers a refused request",
	},
	{ 0 },
};

static void
every_event(void)
{
	bus_bench_cases(&bus_route_worker, cases);
}

static void
own_refusal(void)
{
	static const bus_fold_case refused = {
		.name = "own refusal",
		.given = TWO,
		.type = "route.change-requested",
		.data = "{'host':'" HOST "','targets':[{'release':1,'weight':1}]}",
	};
	CU_ASSERT_EQUAL(bus_bench_echo(&bus_route_worker, &refused), BUS_IGNORED);
}

static void
any_history(void)
{
	static const bus_fold_draw draws[] = {
		{ "route.change-requested",
		  "{'host':'a.example','targets':[{'release':#,'weight':100}]}" },
		{ "route.change-requested",
		  "{'host':'a.example','targets':[{'release':#,'weight':60},"
		  "{'release':#,'weight':40}]}" },
		{ "route.change-requested",
		  "{'host':'b.example','targets':[{'release':#,'weight':9#},"
		  "{'release':9,'weight':#}]}" },
		{ "route.changed", "{'host':'a.example','version':#}" },
		{ "route.changed", "{'host':'a.example','version':1#}" },
		{ "route.failed", "{'host':'a.example','version':#,'reason':'reason #'}" },
		{ "route.failed", "{'host':'b.example','reason':'reason #'}" },
	};
	bus_bench_histories(&bus_route_worker, draws, sizeof(draws) / sizeof(draws[0]));
}

static const bus_case suite_cases[] = {
	{ "each event does what it says", every_event },
	{ "a refusal that comes back changes nothing", own_refusal },
	{ "the same history gives the same rows however it is folded", any_history },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { .name = "fold_route", .cases = suite_cases };
