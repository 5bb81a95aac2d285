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

/* Five releases in all states, and the one that the step "deploy" made. */
#define MADE(number)                                                                     \
	"{'deployment':[{'latest_release':5,'current_release':1,'previous_release':4}]," \
	"'deploy_step':[{'sagaid':'saga-1','step':'deploy/do','release':" number "}],"   \
	"'release':[{'number':1,'kind':'deploy','image':'shop:1','status':'succeeded',"  \
	"'requested_at':1,'started_at':2,'finished_at':3},"                              \
	"{'number':2,'kind':'deploy','image':'shop:2','status':'started',"               \
	"'requested_at':4,'started_at':5},"                                              \
	"{'number':3,'kind':'deploy','image':'shop:3','status':'failed',"                \
	"'reason':'no memory','requested_at':4,'finished_at':5},"                        \
	"{'number':4,'kind':'deploy','image':'shop:4','status':'retired',"               \
	"'requested_at':4,'finished_at':5},"                                             \
	"{'number':5,'kind':'deploy','image':'shop:5','status':'retiring',"              \
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
	/* ---- steps of sagas ---- */
	{
		.name = "a step makes a release, and it is remembered",
		.given = ONE_RUNS,
		.type = "deploy.requested",
		.sagastep = "deploy/do/1",
		.data = "{'image':'shop:3'}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':3,'current_release':1}],"
			  "'deploy_step':[{'sagaid':'saga-1','step':'deploy/do',"
			  "'release':3}],'release':[{'number':3,'kind':'deploy',"
			  "'image':'shop:3','status':'requested','requested_at':1000}]}",
	},
	{
		.name = "a rollback by a step is remembered",
		.given = ONE_RUNS,
		.type = "deploy.rollback-requested",
		.sagastep = "back/undo/1",
		.data = "{'to_release':1}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':3,'current_release':1}],"
			  "'deploy_step':[{'sagaid':'saga-1','step':'back/undo',"
			  "'release':3}],'release':[{'number':3,'kind':'rollback',"
			  "'rollback_to':1,'image':'shop:1','status':'requested',"
			  "'requested_at':1000}]}",
	},
	{
		.name = "another attempt makes no second release",
		.given = MADE("2"),
		.type = "deploy.requested",
		.sagastep = "deploy/do/2",
		.data = "{'image':'shop:2'}",
		.verdict = BUS_IGNORED,
		.reason = "release 2 is that of an earlier attempt",
	},
	{
		.name = "another attempt at what has succeeded is answered",
		.given = MADE("1"),
		.type = "deploy.requested",
		.sagastep = "deploy/do/2",
		.data = "{'image':'shop:2'}",
		.verdict = BUS_IGNORED,
		.reason = "release 1 is that of an earlier attempt",
		.emits = "[{'type':'deploy.succeeded','data':{'release':1}}]",
	},
	{
		.name = "another attempt after a failure is another release",
		.given = MADE("3"),
		.type = "deploy.requested",
		.sagastep = "deploy/do/2",
		.data = "{'image':'shop:2'}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':6,'current_release':1,"
			  "'previous_release':4}],"
			  "'deploy_step':[{'sagaid':'saga-1','step':'deploy/do',"
			  "'release':6}],'release':[{'number':6,'kind':'deploy',"
			  "'image':'shop:2','status':'requested','requested_at':1000}]}",
	},
	{
		.name = "an attempt after its compensation is refused",
		.given = MADE("4"),
		.type = "deploy.rollback-requested",
		.sagastep = "deploy/do/2",
		.data = "{}",
		.verdict = BUS_REJECTED,
		.reason = "this step of the saga was taken back already",
		.emits = "[{'type':'deploy.failed','data':{'reason':'this step of the saga "
			 "was taken back already'}}]",
	},
	{
		.name = "an attempt while it is taken back is refused",
		.given = MADE("5"),
		.type = "deploy.requested",
		.sagastep = "deploy/do/2",
		.data = "{'image':'shop:2'}",
		.verdict = BUS_REJECTED,
		.reason = "this step of the saga was taken back already",
		.emits = "[{'type':'deploy.failed','data':{'reason':'this step of the saga "
			 "was taken back already'}}]",
	},
	{
		.name = "another step of the saga makes its own release",
		.given = MADE("2"),
		.type = "deploy.requested",
		.sagastep = "second/do/1",
		.data = "{'image':'shop:2'}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':6,'current_release':1,"
			  "'previous_release':4}],"
			  "'deploy_step':[{'sagaid':'saga-1','step':'second/do',"
			  "'release':6}],'release':[{'number':6,'kind':'deploy',"
			  "'image':'shop:2','status':'requested','requested_at':1000}]}",
	},
	/* ---- health ---- */
	{
		.name = "health is asked for",
		.given = ONE_RUNS,
		.type = "deploy.verify-requested",
		.actor = "ann",
		.data = "{'release':1}",
		.verdict = BUS_APPLIED,
		.writes = "{'release_check':[{'release':1,'status':'requested',"
			  "'requested_by':'ann','requested_at':1000}]}",
	},
	{
		.name = "health of a release that does not run is refused",
		.given = ONE_RUNS,
		.type = "deploy.verify-requested",
		.data = "{'release':2}",
		.verdict = BUS_REJECTED,
		.reason = "release 2 does not run: it is started",
		.emits = "[{'type':'deploy.verify-failed','data':{'release':2,'reason':"
			 "'release 2 does not run: it is started'}}]",
	},
	{
		.name = "health of a release that is not there is refused",
		.given = ONE_RUNS,
		.type = "deploy.verify-requested",
		.data = "{'release':9}",
		.verdict = BUS_REJECTED,
		.reason = "there is no release 9",
		.emits = "[{'type':'deploy.verify-failed','data':{'release':9,'reason':"
			 "'there is no release 9'}}]",
	},
	{
		.name = "health names the app",
		.type = "deploy.verify-requested",
		.subject = "",
		.data = "{'release':1}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "a release is healthy",
		.given = "{'release_check':[{'release':1,'status':'failed',"
			 "'reason':'slow','requested_at':1,'finished_at':2}]}",
		.type = "deploy.verified",
		.data = "{'release':1}",
		.verdict = BUS_APPLIED,
		.writes = "{'release_check':[{'release':1,'status':'verified',"
			  "'requested_at':1,'finished_at':1000}]}",
	},
	{
		.name = "a release is not healthy",
		.given = "{'release_check':[{'release':1,'status':'requested',"
			 "'requested_at':1}]}",
		.type = "deploy.verify-failed",
		.data = "{'release':1,'reason':'slow'}",
		.verdict = BUS_APPLIED,
		.writes = "{'release_check':[{'release':1,'status':'failed',"
			  "'reason':'slow','requested_at':1,'finished_at':1000}]}",
	},
	{
		.name = "health nobody asked for",
		.type = "deploy.verified",
		.data = "{'release':1}",
		.verdict = BUS_IGNORED,
		.reason = "nobody asked whether release 1 is healthy",
	},
	/* ---- retirement ---- */
	{
		.name = "a release is to be retired",
		.given = MADE("1"),
		.type = "deploy.retire-requested",
		.data = "{'release':1,'reason':'old'}",
		.verdict = BUS_APPLIED,
		.writes = "{'release':[{'number':1,'kind':'deploy','image':'shop:1',"
			  "'status':'retiring','requested_at':1,'started_at':2,"
			  "'finished_at':3}]}",
	},
	{
		.name = "a compensation retires the release of its step",
		.given = MADE("2"),
		.type = "deploy.retire-requested",
		.sagastep = "deploy/undo/1",
		.data = "{}",
		.verdict = BUS_APPLIED,
		.writes = "{'release':[{'number':2,'kind':'deploy','image':'shop:2',"
			  "'status':'retiring','requested_at':4,'started_at':5}]}",
	},
	{
		.name = "a compensation of a step that made no release is answered",
		.given = MADE("2"),
		.type = "deploy.retire-requested",
		.sagastep = "other/undo/1",
		.data = "{'reason':'taken back'}",
		.verdict = BUS_IGNORED,
		.reason = "nothing to retire: there is no such release",
		.emits = "[{'type':'deploy.retired','data':{}}]",
	},
	{
		.name = "a compensation of a step whose release failed is answered",
		.given = MADE("3"),
		.type = "deploy.retire-requested",
		.sagastep = "deploy/undo/1",
		.data = "{}",
		.verdict = BUS_IGNORED,
		.reason = "nothing to retire: the release failed",
		.emits = "[{'type':'deploy.retired','data':{'release':3}}]",
	},
	{
		.name = "another attempt to retire what is retired is answered",
		.given = MADE("4"),
		.type = "deploy.retire-requested",
		.sagastep = "deploy/undo/2",
		.data = "{}",
		.verdict = BUS_IGNORED,
		.reason = "nothing to retire: the release is retired already",
		.emits = "[{'type':'deploy.retired','data':{'release':4}}]",
	},
	{
		.name = "the release that another took over from is retired",
		.given = "{'deployment':[{'latest_release':2,'current_release':2,"
			 "'previous_release':1}],'release':[{'number':1,'kind':'deploy',"
			 "'image':'shop:1','status':'succeeded','requested_at':1,"
			 "'finished_at':3}]}",
		.type = "deploy.retire-requested",
		.sagastep = "retire/do/1",
		.data = "{'superseded_by':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'release':[{'number':1,'kind':'deploy','image':'shop:1',"
			  "'status':'retiring','requested_at':1,'finished_at':3}]}",
	},
	{
		.name = "the first release took over from none",
		.given = "{'deployment':[{'latest_release':1,'current_release':1}]}",
		.type = "deploy.retire-requested",
		.data = "{'superseded_by':1}",
		.verdict = BUS_IGNORED,
		.reason = "nothing to retire: there is no such release",
		.emits = "[{'type':'deploy.retired','data':{}}]",
	},
	{
		.name = "what was before a release that is not current is not known",
		.given = "{'deployment':[{'latest_release':3,'current_release':3,"
			 "'previous_release':2}]}",
		.type = "deploy.retire-requested",
		.data = "{'superseded_by':2}",
		.verdict = BUS_IGNORED,
		.reason = "nothing to retire: there is no such release",
		.emits = "[{'type':'deploy.retired','data':{}}]",
	},
	{
		.name = "a retirement names a release, or comes from a step",
		.given = ONE_RUNS,
		.type = "deploy.retire-requested",
		.data = "{'reason':'old'}",
		.verdict = BUS_REJECTED,
		.reason = "no release is named",
		.emits = "[{'type':'deploy.retire-failed','data':{'reason':'no release is "
			 "named'}}]",
	},
	{
		.name = "a release that is not there cannot be retired",
		.given = ONE_RUNS,
		.type = "deploy.retire-requested",
		.data = "{'release':9}",
		.verdict = BUS_REJECTED,
		.reason = "there is no release 9",
		.emits = "[{'type':'deploy.retire-failed','data':{'reason':'there is no "
			 "release 9'}}]",
	},
	{
		.name = "a retirement names the app",
		.type = "deploy.retire-requested",
		.subject = "",
		.data = "{'release':1}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "a release that never ran is gone",
		.given = MADE("2"),
		.type = "deploy.retired",
		.data = "{'release':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'release':[{'number':2,'kind':'deploy','image':'shop:2',"
			  "'status':'retired','requested_at':4,'started_at':5,"
			  "'finished_at':1000}]}",
	},
	{
		.name = "the current release is gone, and the one before is current",
		.given = "{'deployment':[{'latest_release':2,'current_release':2,"
			 "'previous_release':1}],'release':[{'number':1,'kind':'deploy',"
			 "'image':'shop:1','status':'succeeded','requested_at':1,"
			 "'finished_at':3},{'number':2,'kind':'deploy','image':'shop:2',"
			 "'status':'retiring','requested_at':4,'finished_at':6}]}",
		.type = "deploy.retired",
		.data = "{'release':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':2,'current_release':1}],"
			  "'release':[{'number':2,'kind':'deploy','image':'shop:2',"
			  "'status':'retired','requested_at':4,'finished_at':6}]}",
	},
	{
		.name = "the current release is gone, and the one before is gone, too",
		.given = MADE("4"),
		.type = "deploy.retired",
		.data = "{'release':1}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':5,'previous_release':4}],"
			  "'release':[{'number':1,'kind':'deploy','image':'shop:1',"
			  "'status':'retired','requested_at':1,'started_at':2,"
			  "'finished_at':3}]}",
	},
	{
		.name = "a release is gone once",
		.given = MADE("4"),
		.type = "deploy.retired",
		.data = "{'release':4}",
		.verdict = BUS_IGNORED,
		.reason = "release 4 is final: it retired",
	},
	{
		.name = "an unknown release is not gone",
		.given = ONE_RUNS,
		.type = "deploy.retired",
		.data = "{'release':9}",
		.verdict = BUS_IGNORED,
		.reason = "there is no release 9",
	},
	{
		.name = "none was there to be gone",
		.given = ONE_RUNS,
		.type = "deploy.retired",
		.data = "{}",
		.verdict = BUS_IGNORED,
		.reason = "no release named: there was none to retire",
	},
	{
		.name = "a retirement that fails leaves the release what it was",
		.given = MADE("5"),
		.type = "deploy.retire-failed",
		.data = "{'release':5,'reason':'no answer'}",
		.verdict = BUS_APPLIED,
		.writes = "{'release':[{'number':5,'kind':'deploy','image':'shop:5',"
			  "'status':'started','requested_at':4,'started_at':5}]}",
	},
	{
		.name = "a retirement nobody asked for does not fail",
		.given = MADE("5"),
		.type = "deploy.retire-failed",
		.data = "{'release':1,'reason':'no answer'}",
		.verdict = BUS_IGNORED,
		.reason = "release 1 is not being retired",
	},
	{
		.name = "a refused retirement that comes back",
		.type = "deploy.retire-failed",
		.data = "{'reason':'no release is named'}",
		.verdict = BUS_IGNORED,
		.reason = "no release named: it answers a refused request",
	},
	{
		.name = "success of a release that is being retired is kept in its times",
		.given = MADE("5"),
		.type = "deploy.succeeded",
		.data = "{'release':5}",
		.verdict = BUS_APPLIED,
		.writes = "{'deployment':[{'latest_release':5,'current_release':5,"
			  "'previous_release':1}],'release':[{'number':5,'kind':'deploy',"
			  "'image':'shop:5','status':'retiring','requested_at':4,"
			  "'started_at':5,'finished_at':1000}]}",
	},
	{
		.name = "a release that is gone does not succeed",
		.given = MADE("4"),
		.type = "deploy.succeeded",
		.data = "{'release':4}",
		.verdict = BUS_IGNORED,
		.reason = "release 4 is final: it retired",
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
	static const bus_fold_case others[] = {
		{ .name = "own verification",
		  .given = "{'release_check':[{'release':9,'status':'verified'}]}",
		  .type = "deploy.verify-requested",
		  .data = "{'release':9}" },
		{ .name = "own retirement",
		  .given = ONE_RUNS,
		  .type = "deploy.retire-requested",
		  .data = "{'release':9}" },
		{ .name = "own answer",
		  .given = MADE("4"),
		  .type = "deploy.retire-requested",
		  .sagastep = "deploy/undo/1",
		  .data = "{}" },
		{ .name = "own repeated answer",
		  .given = MADE("1"),
		  .type = "deploy.requested",
		  .sagastep = "deploy/do/2",
		  .data = "{'image':'a'}" },
	};
	CU_ASSERT_EQUAL(bus_bench_echo(&bus_deploy_worker, &refused), BUS_IGNORED);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		CU_ASSERT_EQUAL(bus_bench_echo(&bus_deploy_worker, &others[i]),
				BUS_IGNORED);
	}
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
		{ "deploy.requested @deploy/do/#", "{'image':'shop:#'}" },
		{ "deploy.requested @deploy#/do/#", "{'image':'shop:#'}" },
		{ "deploy.retire-requested @deploy/undo/#", "{}" },
		{ "deploy.retire-requested @retire/do/#", "{'superseded_by':#}" },
		{ "deploy.retire-requested", "{'release':#}" },
		{ "deploy.retired", "{'release':#}" },
		{ "deploy.retired", "{'release':1#}" },
		{ "deploy.retire-failed", "{'release':#,'reason':'reason #'}" },
		{ "deploy.verify-requested @verify/do/#", "{'release':#}" },
		{ "deploy.verified", "{'release':#}" },
		{ "deploy.verify-failed", "{'release':#,'reason':'reason #'}" },
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
