/*
 * test_fold_deploy.c - what each event does to releases and deployments
 */
#include "tests/support/fold_bench.h"
#include "tests/support/suite.h"
#include "workers/deploy/handler.h"

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/* Two releases: the first runs, the second has started. */
#define ONE_RUNS                                                                         \
	"{'deployment':[{'latest_release':2,'current_release':1}],"                      \
	"'release':[{'number':1,'kind':'deploy','image':'shop:1','status':'succeeded',"  \
	"'requested_at':1,'started_at':2,'finished_at':3},"                              \
	"{'number':2,'kind':'deploy','image':'shop:2','status':'started',"               \
	"'requested_at':4,'started_at':5}]}"

static const bus_fold_case cases[] = {
	{
		.name = "the first deploy is release 1",
		.type = "deploy.requested",
		.actor = "ann",
		.data = "{'image':'shop:1','command':['serve','--port=80'],"
			"'environment':{'MODE':'live','A':'\\u00e9'},"
			"'artifact_digest':'" DIGEST "'}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'deployment':[{'latest_release':1}],'release':[{'number':1,"
			"'kind':'deploy','image':'shop:1','command':['serve','--port=80'],"
			"'environment':{'MODE':'live','A':'\\u00e9'},"
			"'artifact_digest':'" DIGEST "','status':'requested',"
			"'requested_by':'ann','requested_at':1000}]}",
	},
	{
		.name = "the next deploy is one more, and the running release keeps running",
		.given = ONE_RUNS,
		.type = "deploy.requested",
		.data = "{'image':'shop:3'}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':3,'current_release':1}],"
			  "'release':[{'number':3,'kind':'deploy','image':'shop:3',"
			  "'status':'requested','requested_at':1000}]}",
	},
	{
		.name = "an empty environment is not none",
		.type = "deploy.requested",
		.data = "{'image':'shop:1','environment':{}}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':1}],'release':[{'number':1,"
			  "'kind':'deploy','image':'shop:1','environment':{},"
			  "'status':'requested','requested_at':1000}]}",
	},
	{
		.name = "a deploy names the app",
		.type = "deploy.requested",
		.subject = "",
		.data = "{'image':'shop:1'}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "a rollback copies the release it names",
		.given = "{'deployment':[{'latest_release':4,'current_release':4,"
			 "'previous_release':3}],'release':[{'number':2,'kind':'deploy',"
			 "'image':'shop:2','command':['a'],'environment':{'B':'c'},"
			 "'artifact_digest':'" DIGEST
			 "','status':'failed','reason':'crashed',"
			 "'requested_by':'ann','requested_at':1,'started_at':2,"
			 "'finished_at':3}]}",
		.type = "deploy.rollback-requested",
		.actor = "bob",
		.data = "{'to_release':2,'reason':'slow'}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'deployment':[{'latest_release':5,'current_release':4,"
			"'previous_release':3}],'release':[{'number':5,'kind':'rollback',"
			"'rollback_to':2,'image':'shop:2','command':['a'],"
			"'environment':{'B':'c'},'artifact_digest':'" DIGEST "',"
			"'status':'requested','reason':'slow','requested_by':'bob',"
			"'requested_at':1000}]}",
	},
	{
		.name = "a rollback goes to the release before the current one by itself",
		.given = "{'deployment':[{'latest_release':5,'current_release':4,"
			 "'previous_release':2}],'release':[{'number':2,'kind':'deploy',"
			 "'image':'shop:2','status':'succeeded','requested_at':1,"
			 "'finished_at':3}]}",
		.type = "deploy.rollback-requested",
		.data = "{}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'deployment':[{'latest_release':6,'current_release':4,"
			"'previous_release':2}],'release':[{'number':6,'kind':'rollback',"
			"'rollback_to':2,'image':'shop:2','status':'requested',"
			"'requested_at':1000}]}",
	},
	{
		.name = "a rollback needs a release that succeeded before, or a name",
		.given = ONE_RUNS,
		.type = "deploy.rollback-requested",
		.data = "{}",
		.verdict = BUS_REJECTED,
		.reason =
			"no release succeeded before the current one; name one with to_release",
		.emits = "[{'type':'deploy.failed','data':{'reason':'no release succeeded before "
			 "the current one; name one with to_release'}}]",
	},
	{
		.name = "a rollback to a release that is not there is refused",
		.given = ONE_RUNS,
		.type = "deploy.rollback-requested",
		.data = "{'to_release':9}",
		.verdict = BUS_REJECTED,
		.reason = "there is no release 9",
		.emits =
			"[{'type':'deploy.failed','data':{'reason':'there is no release 9'}}]",
	},
	{
		.name = "a rollback of an app that was never deployed is refused",
		.type = "deploy.rollback-requested",
		.data = "{'to_release':1}",
		.verdict = BUS_REJECTED,
		.reason = "the app has no release to roll back to",
		.emits = "[{'type':'deploy.failed','data':{'reason':'the app has no release to "
			 "roll back to'}}]",
	},
	{
		.name = "a rollback names the app",
		.type = "deploy.rollback-requested",
		.subject = "",
		.data = "{}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "a release starts",
		.given = "{'deployment':[{'latest_release':1}],'release':[{'number':1,"
			 "'kind':'deploy','image':'shop:1','status':'requested',"
			 "'requested_at':1}]}",
		.type = "deploy.started",
		.data = "{'release':1}",
		.verdict = BUS_APPLIED,
		.writes = "{'release':[{'number':1,'kind':'deploy','image':'shop:1',"
			  "'status':'started','requested_at':1,'started_at':1000}]}",
	},
	{
		.name = "a release starts once",
		.given = ONE_RUNS,
		.type = "deploy.started",
		.data = "{'release':2}",
		.verdict = BUS_IGNORED,
		.reason = "release 2 has started already",
	},
	{
		.name = "a release that succeeded does not start",
		.given = ONE_RUNS,
		.type = "deploy.started",
		.data = "{'release':1}",
		.verdict = BUS_IGNORED,
		.reason = "release 1 is final: it succeeded",
	},
	{
		.name = "an unknown release does not start",
		.given = ONE_RUNS,
		.type = "deploy.started",
		.data = "{'release':3}",
		.verdict = BUS_IGNORED,
		.reason = "there is no release 3",
	},
	{
		.name = "the first release that succeeds is current",
		.given = "{'deployment':[{'latest_release':1}],'release':[{'number':1,"
			 "'kind':'deploy','image':'shop:1','status':'started',"
			 "'requested_at':1,'started_at':2}]}",
		.type = "deploy.succeeded",
		.data = "{'release':1}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':1,'current_release':1}],"
			  "'release':[{'number':1,'kind':'deploy','image':'shop:1',"
			  "'status':'succeeded','requested_at':1,'started_at':2,"
			  "'finished_at':1000}]}",
	},
	{
		.name = "a newer release takes over from the current one",
		.given = ONE_RUNS,
		.type = "deploy.succeeded",
		.data = "{'release':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':2,'current_release':2,"
			  "'previous_release':1}],'release':[{'number':2,'kind':'deploy',"
			  "'image':'shop:2','status':'succeeded','requested_at':4,"
			  "'started_at':5,'finished_at':1000}]}",
	},
	{
		.name = "an older release that succeeds late does not take over",
		.given = "{'deployment':[{'latest_release':3,'current_release':3}],"
			 "'release':[{'number':2,'kind':'deploy','image':'shop:2',"
			 "'status':'started','requested_at':1,'started_at':2}]}",
		.type = "deploy.succeeded",
		.data = "{'release':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'release':[{'number':2,'kind':'deploy','image':'shop:2',"
			  "'status':'succeeded','requested_at':1,'started_at':2,"
			  "'finished_at':1000}]}",
	},
	{
		.name = "success may arrive without a start",
		.given = "{'deployment':[{'latest_release':1}],'release':[{'number':1,"
			 "'kind':'rollback','rollback_to':1,'image':'shop:1',"
			 "'status':'requested','reason':'slow','requested_at':1}]}",
		.type = "deploy.succeeded",
		.data = "{'release':1}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':1,'current_release':1}],"
			  "'release':[{'number':1,'kind':'rollback','rollback_to':1,"
			  "'image':'shop:1','status':'succeeded','reason':'slow',"
			  "'requested_at':1,'finished_at':1000}]}",
	},
	{
		.name = "success is final",
		.given = ONE_RUNS,
		.type = "deploy.succeeded",
		.data = "{'release':1}",
		.verdict = BUS_IGNORED,
		.reason = "release 1 is final: it succeeded",
	},
	{
		.name = "an unknown release does not succeed",
		.type = "deploy.succeeded",
		.data = "{'release':1}",
		.verdict = BUS_IGNORED,
		.reason = "there is no release 1",
	},
	{
		.name = "a release without its deployment is not guessed at",
		.given = "{'release':[{'number':1,'kind':'deploy','image':'shop:1',"
			 "'status':'started','requested_at':1,'started_at':2}]}",
		.type = "deploy.succeeded",
		.data = "{'release':1}",
		.verdict = BUS_REJECTED,
		.reason = "release 1 belongs to no deployment",
	},
	{
		.name = "a release fails, and the running one keeps running",
		.given = ONE_RUNS,
		.type = "deploy.failed",
		.data = "{'release':2,'reason':'no memory'}",
		.verdict = BUS_APPLIED,
		.writes = "{'release':[{'number':2,'kind':'deploy','image':'shop:2',"
			  "'status':'failed','reason':'no memory','requested_at':4,"
			  "'started_at':5,'finished_at':1000}]}",
	},
	{
		.name = "failure after success is too late",
		.given = ONE_RUNS,
		.type = "deploy.failed",
		.data = "{'release':1,'reason':'no memory'}",
		.verdict = BUS_IGNORED,
		.reason = "release 1 is final: it succeeded",
	},
	{
		.name = "success after failure is too late",
		.given = "{'deployment':[{'latest_release':1}],'release':[{'number':1,"
			 "'kind':'deploy','image':'shop:1','status':'failed','reason':'crashed',"
			 "'requested_at':1,'finished_at':3}]}",
		.type = "deploy.succeeded",
		.data = "{'release':1}",
		.verdict = BUS_IGNORED,
		.reason = "release 1 is final: it failed",
	},
	{
		.name = "an unknown release does not fail",
		.type = "deploy.failed",
		.data = "{'release':1,'reason':'no memory'}",
		.verdict = BUS_IGNORED,
		.reason = "there is no release 1",
	},
	{
		.name = "failure without a release answers a refused request",
		.given = ONE_RUNS,
		.type = "deploy.failed",
		.data = "{'reason':'there is no release 9'}",
		.verdict = BUS_IGNORED,
		.reason = "no release named: it answers a refused request",
	},
	{ 0 },
};

static void
every_event(void)
{
	bus_bench_cases(&bus_deploy_worker, cases);
}

static void
own_refusal(void)
{
	static const bus_fold_case refused = {
		.name = "own refusal",
		.given = ONE_RUNS,
		.type = "deploy.rollback-requested",
		.data = "{'to_release':9}",
	};
	CU_ASSERT_EQUAL(bus_bench_echo(&bus_deploy_worker, &refused), BUS_IGNORED);
}

static void
any_history(void)
{
	static const bus_fold_draw draws[] = {
		{ "deploy.requested", "{'image':'shop:#','environment':{'N':'#'}}" },
		{ "deploy.rollback-requested", "{}" },
		{ "deploy.rollback-requested", "{'to_release':#}" },
		{ "deploy.started", "{'release':#}" },
		{ "deploy.succeeded", "{'release':#}" },
		{ "deploy.succeeded", "{'release':1#}" },
		{ "deploy.failed", "{'release':#,'reason':'reason #'}" },
		{ "deploy.failed", "{'reason':'reason #'}" },
	};
	bus_bench_histories(&bus_deploy_worker, draws, sizeof(draws) / sizeof(draws[0]));
}

static const bus_case suite_cases[] = {
	{ "each event does what it says", every_event },
	{ "a refusal that comes back changes nothing", own_refusal },
	{ "the same history gives the same rows however it is folded", any_history },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { .name = "fold_deploy", .cases = suite_cases };
