/*
 * test_fold_route_steps.c - shifts, reverts and removals of routes, and the steps of sagas
 */
#include "tests/support/fold_bench.h"
#include "tests/support/suite.h"
#include "workers/route/handler.h"

static const bus_fold_case cases[] = {
	{
		.name = "a new release gets a share, the others the rest",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':1,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]}]}",
		.type = "route.shift-requested",
		.sagastep = "shift/do/1",
		.data = "{'host':'shop.example.com','release':7,'weight':10}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			  "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'shift/do','host':'shop.example.com','version':2,"
			  "'version_before':1}],"
			  "'route_version':[{'host':'shop.example.com','version':2,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':6,'weight':90},{'release':7,"
			  "'weight':10}]}],'route_target':[{'host':'shop.example.com',"
			  "'version':2,'release':6,'weight':90},"
			  "{'host':'shop.example.com','version':2,'release':7,"
			  "'weight':10}]}",
	},
	{
		.name = "a share grows",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':2}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':90},{'release':7,"
			 "'weight':10}]}]}",
		.type = "route.shift-requested",
		.data = "{'host':'shop.example.com','release':7,'weight':50}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			  "'applied_version':2}],"
			  "'route_version':[{'host':'shop.example.com','version':3,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':6,'weight':50},{'release':7,"
			  "'weight':50}]}],'route_target':[{'host':'shop.example.com',"
			  "'version':3,'release':6,'weight':50},"
			  "{'host':'shop.example.com','version':3,'release':7,"
			  "'weight':50}]}",
	},
	{
		.name = "all of it",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':2}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':50},{'release':7,"
			 "'weight':50}]}]}",
		.type = "route.shift-requested",
		.data = "{'host':'shop.example.com','release':7,'weight':100}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			  "'applied_version':2}],"
			  "'route_version':[{'host':'shop.example.com','version':3,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':7,'weight':100}]}],"
			  "'route_target':[{'host':'shop.example.com','version':3,"
			  "'release':7,'weight':100}]}",
	},
	{
		.name = "a share of three: what is rounded away goes to who lost most",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':2}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':4,'weight':33},{'release':5,"
			 "'weight':33},{'release':6,'weight':34}]}]}",
		.type = "route.shift-requested",
		.data = "{'host':'shop.example.com','release':7,'weight':50}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			  "'applied_version':2}],"
			  "'route_version':[{'host':'shop.example.com','version':3,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':4,'weight':17},{'release':5,"
			  "'weight':16},{'release':6,'weight':17},{'release':7,"
			  "'weight':50}]}],'route_target':[{'host':'shop.example.com',"
			  "'version':3,'release':4,'weight':17},"
			  "{'host':'shop.example.com','version':3,'release':5,"
			  "'weight':16},{'host':'shop.example.com','version':3,"
			  "'release':6,'weight':17},{'host':'shop.example.com',"
			  "'version':3,'release':7,'weight':50}]}",
	},
	{
		.name = "nothing for a release that had all",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':2}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':75},{'release':7,"
			 "'weight':25}]}]}",
		.type = "route.shift-requested",
		.data = "{'host':'shop.example.com','release':6,'weight':0}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			  "'applied_version':2}],"
			  "'route_version':[{'host':'shop.example.com','version':3,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':7,'weight':100}]}],"
			  "'route_target':[{'host':'shop.example.com','version':3,"
			  "'release':7,'weight':100}]}",
	},
	{
		.name = "the first release gets all, whatever its share",
		.type = "route.shift-requested",
		.data = "{'host':'shop.example.com','release':7,'weight':10}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':1}],"
			  "'route_version':[{'host':'shop.example.com','version':1,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':7,'weight':100}]}],"
			  "'route_target':[{'host':'shop.example.com','version':1,"
			  "'release':7,'weight':100}]}",
	},
	{
		.name = "shares so small that they are none",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':2}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':5,'weight':1},{'release':6,"
			 "'weight':99}]}]}",
		.type = "route.shift-requested",
		.data = "{'host':'shop.example.com','release':7,'weight':90}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			  "'applied_version':2}],"
			  "'route_version':[{'host':'shop.example.com','version':3,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':6,'weight':10},{'release':7,"
			  "'weight':90}]}],'route_target':[{'host':'shop.example.com',"
			  "'version':3,'release':6,'weight':10},"
			  "{'host':'shop.example.com','version':3,'release':7,"
			  "'weight':90}]}",
	},
	{
		.name = "a shift names the app",
		.type = "route.shift-requested",
		.subject = "",
		.data = "{'host':'shop.example.com','release':7,'weight':10}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "seventeen targets are one too many",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':2}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':1,'weight':6},{'release':2,"
			 "'weight':6},{'release':3,'weight':6},{'release':4,"
			 "'weight':6},{'release':5,'weight':6},{'release':6,"
			 "'weight':6},{'release':7,'weight':6},{'release':8,"
			 "'weight':6},{'release':9,'weight':6},{'release':10,"
			 "'weight':6},{'release':11,'weight':6},{'release':12,"
			 "'weight':6},{'release':13,'weight':6},{'release':14,"
			 "'weight':6},{'release':15,'weight':6},{'release':16,"
			 "'weight':10}]}]}",
		.type = "route.shift-requested",
		.data = "{'host':'shop.example.com','release':99,'weight':4}",
		.verdict = BUS_REJECTED,
		.reason = "the host would have more than 16 targets",
		.emits = "[{'type':'route.failed','data':{'host':'shop.example.com',"
			 "'reason':'the host would have more than 16 targets'}}]",
	},
	{
		.name = "a change by a step is remembered",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':1,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]}]}",
		.type = "route.change-requested",
		.sagastep = "switch/do/1",
		.data = "{'host':'shop.example.com','targets':[{'release':7,"
			"'weight':100}]}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			  "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'switch/do','host':'shop.example.com','version':2,"
			  "'version_before':1}],"
			  "'route_version':[{'host':'shop.example.com','version':2,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':7,'weight':100}]}],"
			  "'route_target':[{'host':'shop.example.com','version':2,"
			  "'release':7,'weight':100}]}",
	},
	{
		.name = "another attempt makes no second version",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'requested',"
			 "'requested_at':1,'targets':[{'release':6,'weight':90},"
			 "{'release':7,'weight':10}]}]}",
		.type = "route.shift-requested",
		.sagastep = "shift/do/2",
		.data = "{'host':'shop.example.com','release':7,'weight':10}",
		.verdict = BUS_IGNORED,
		.reason = "version 2 is that of an earlier attempt",
	},
	{
		.name = "another attempt at what took effect is answered",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':6,"
			 "'weight':90},{'release':7,'weight':10}]}]}",
		.type = "route.shift-requested",
		.sagastep = "shift/do/2",
		.data = "{'host':'shop.example.com','release':7,'weight':10}",
		.verdict = BUS_IGNORED,
		.reason = "there is nothing to do",
		.emits = "[{'type':'route.changed','data':{'host':'shop.example.com',"
			 "'version':2}}]",
	},
	{
		.name = "another attempt after a failure is another version,"
			" and remembers what was before the first",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'failed',"
			 "'reason':'no proxy','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':90},{'release':7,"
			 "'weight':10}]}]}",
		.type = "route.shift-requested",
		.sagastep = "shift/do/2",
		.data = "{'host':'shop.example.com','release':7,'weight':10}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			  "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'shift/do','host':'shop.example.com','version':3,"
			  "'version_before':1}],"
			  "'route_version':[{'host':'shop.example.com','version':3,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':6,'weight':90},{'release':7,"
			  "'weight':10}]}],'route_target':[{'host':'shop.example.com',"
			  "'version':3,'release':6,'weight':90},"
			  "{'host':'shop.example.com','version':3,'release':7,"
			  "'weight':10}]}",
	},
	{
		.name = "another attempt after a failure and somebody else's change "
			"goes back to that",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			 "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'failed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':6,"
			 "'weight':90},{'release':7,'weight':10}]},"
			 "{'host':'shop.example.com','version':3,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':8,"
			 "'weight':100}]}]}",
		.type = "route.shift-requested",
		.sagastep = "shift/do/2",
		.data = "{'host':'shop.example.com','release':7,'weight':10}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':4,"
			  "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'shift/do','host':'shop.example.com','version':4,"
			  "'version_before':3}],"
			  "'route_version':[{'host':'shop.example.com','version':4,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':7,'weight':10},{'release':8,"
			  "'weight':90}]}],'route_target':[{'host':'shop.example.com',"
			  "'version':4,'release':7,'weight':10},"
			  "{'host':'shop.example.com','version':4,'release':8,"
			  "'weight':90}]}",
	},
	{
		.name = "an attempt after its compensation is refused",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			 "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1},{'sagaid':'saga-1','step':'shift/undo',"
			 "'host':'shop.example.com','version':3,'version_before':2}],"
			 "'route_version':[{'host':'shop.example.com','version':3,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}],'restores':1}]}",
		.type = "route.shift-requested",
		.sagastep = "shift/do/2",
		.data = "{'host':'shop.example.com','release':7,'weight':10}",
		.verdict = BUS_REJECTED,
		.reason = "this step of the saga was taken back already",
		.emits = "[{'type':'route.failed','data':{'host':'shop.example.com',"
			 "'reason':'this step of the saga was taken back already'}}]",
	},
	{
		.name = "a compensation goes back to the targets before",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':6,"
			 "'weight':90},{'release':7,'weight':10}]}]}",
		.type = "route.revert-requested",
		.sagastep = "shift/undo/1",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			  "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'shift/undo','host':'shop.example.com','version':3,"
			  "'version_before':2}],"
			  "'route_version':[{'host':'shop.example.com','version':3,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':6,'weight':100}],'restores':1}],"
			  "'route_target':[{'host':'shop.example.com','version':3,"
			  "'release':6,'weight':100}]}",
	},
	{
		.name = "the step before is taken back after it,"
			" as if nothing had been between",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':4,"
			 "'applied_version':4}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'first/do','host':'shop.example.com','version':2,"
			 "'version_before':1},{'sagaid':'saga-1','step':'second/do',"
			 "'host':'shop.example.com','version':3,'version_before':2},"
			 "{'sagaid':'saga-1','step':'second/undo',"
			 "'host':'shop.example.com','version':4,'version_before':3}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':6,"
			 "'weight':90},{'release':7,'weight':10}]},"
			 "{'host':'shop.example.com','version':3,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':6,"
			 "'weight':50},{'release':7,'weight':50}]},"
			 "{'host':'shop.example.com','version':4,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':6,"
			 "'weight':90},{'release':7,'weight':10}],'restores':2}]}",
		.type = "route.revert-requested",
		.sagastep = "first/undo/1",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':5,"
			  "'applied_version':4}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'first/undo','host':'shop.example.com','version':5,"
			  "'version_before':4}],"
			  "'route_version':[{'host':'shop.example.com','version':5,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':6,'weight':100}],'restores':1}],"
			  "'route_target':[{'host':'shop.example.com','version':5,"
			  "'release':6,'weight':100}]}",
	},
	{
		.name = "what is restored is the version that made the targets",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':5,"
			 "'applied_version':5}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':5,"
			 "'version_before':4}],"
			 "'route_version':[{'host':'shop.example.com','version':4,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}],'restores':1},"
			 "{'host':'shop.example.com','version':5,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':7,"
			 "'weight':100}]}]}",
		.type = "route.revert-requested",
		.sagastep = "shift/undo/1",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':6,"
			  "'applied_version':5}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'shift/undo','host':'shop.example.com','version':6,"
			  "'version_before':5}],"
			  "'route_version':[{'host':'shop.example.com','version':6,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':6,'weight':100}],'restores':1}],"
			  "'route_target':[{'host':'shop.example.com','version':6,"
			  "'release':6,'weight':100}]}",
	},
	{
		.name = "somebody else's change is left",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			 "'applied_version':3}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':7,"
			 "'weight':100}]},{'host':'shop.example.com','version':3,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':8,'weight':100}]}]}",
		.type = "route.revert-requested",
		.sagastep = "shift/undo/1",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_IGNORED,
		.reason = "there is nothing to do: somebody else has changed the route "
			  "since",
		.emits = "[{'type':'route.reverted','data':{'host':'shop.example.com',"
			 "'reason':'somebody else has changed the route since'}}]",
	},
	{
		.name = "a compensation of a step that changed nothing is answered",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':1,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]}]}",
		.type = "route.revert-requested",
		.sagastep = "shift/undo/1",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_IGNORED,
		.reason = "there is nothing to do: this step of the saga has not "
			  "changed the route",
		.emits = "[{'type':'route.reverted','data':{'host':'shop.example.com',"
			 "'reason':'this step of the saga has not changed the route'}}]",
	},
	{
		.name = "a compensation of the first version leaves no targets",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':1,"
			 "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':7,'weight':100}]}]}",
		.type = "route.revert-requested",
		.sagastep = "shift/undo/1",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			  "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'shift/undo','host':'shop.example.com','version':2,"
			  "'version_before':1}],"
			  "'route_version':[{'host':'shop.example.com','version':2,"
			  "'status':'requested','requested_at':1000,'targets':[]}]}",
	},
	{
		.name = "a second compensation makes no second version",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			 "'applied_version':2}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1},{'sagaid':'saga-1','step':'shift/undo',"
			 "'host':'shop.example.com','version':3,'version_before':2}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':7,"
			 "'weight':100}]},{'host':'shop.example.com','version':3,"
			 "'status':'requested','requested_at':1,"
			 "'targets':[{'release':6,'weight':100}],'restores':1}]}",
		.type = "route.revert-requested",
		.sagastep = "shift/undo/2",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_IGNORED,
		.reason = "version 3 is that of an earlier attempt",
	},
	{
		.name = "a second compensation of what is reverted is answered",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			 "'applied_version':3}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1},{'sagaid':'saga-1','step':'shift/undo',"
			 "'host':'shop.example.com','version':3,'version_before':2}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':7,"
			 "'weight':100}]},{'host':'shop.example.com','version':3,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}],'restores':1}]}",
		.type = "route.revert-requested",
		.sagastep = "shift/undo/2",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_IGNORED,
		.reason = "there is nothing to do",
		.emits = "[{'type':'route.reverted','data':{'host':'shop.example.com',"
			 "'version':3}}]",
	},
	{
		.name = "a compensation after a failed one restores the same",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			 "'applied_version':2}],'route_step':[{'sagaid':'saga-1',"
			 "'step':'shift/do','host':'shop.example.com','version':2,"
			 "'version_before':1},{'sagaid':'saga-1','step':'shift/undo',"
			 "'host':'shop.example.com','version':3,'version_before':2}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]},"
			 "{'host':'shop.example.com','version':2,'status':'changed',"
			 "'requested_at':1,'finished_at':2,'targets':[{'release':7,"
			 "'weight':100}]},{'host':'shop.example.com','version':3,"
			 "'status':'failed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}],'restores':1}]}",
		.type = "route.revert-requested",
		.sagastep = "shift/undo/2",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':4,"
			  "'applied_version':2}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'shift/undo','host':'shop.example.com','version':4,"
			  "'version_before':2}],"
			  "'route_version':[{'host':'shop.example.com','version':4,"
			  "'status':'requested','requested_at':1000,"
			  "'targets':[{'release':6,'weight':100}],'restores':1}],"
			  "'route_target':[{'host':'shop.example.com','version':4,"
			  "'release':6,'weight':100}]}",
	},
	{
		.name = "a revert without a saga is answered",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':1,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]}]}",
		.type = "route.revert-requested",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_IGNORED,
		.reason = "there is nothing to do: this step of the saga has not "
			  "changed the route",
		.emits = "[{'type':'route.reverted','data':{'host':'shop.example.com',"
			 "'reason':'this step of the saga has not changed the route'}}]",
	},
	{
		.name = "a route is removed",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':1,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':1,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[{'release':6,'weight':100}]}]}",
		.type = "route.remove-requested",
		.sagastep = "unroute/do/1",
		.data = "{'host':'shop.example.com','reason':'gone'}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			  "'applied_version':1}],'route_step':[{'sagaid':'saga-1',"
			  "'step':'unroute/do','host':'shop.example.com','version':2,"
			  "'version_before':1}],"
			  "'route_version':[{'host':'shop.example.com','version':2,"
			  "'status':'requested','reason':'gone','requested_at':1000,"
			  "'targets':[]}]}",
	},
	{
		.name = "a route that is not there is removed already",
		.type = "route.remove-requested",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_IGNORED,
		.reason = "there is nothing to do",
		.emits = "[{'type':'route.removed',"
			 "'data':{'host':'shop.example.com'}}]",
	},
	{
		.name = "a route that was removed is removed already",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':2}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'changed','requested_at':1,'finished_at':2,"
			 "'targets':[]}]}",
		.type = "route.remove-requested",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_IGNORED,
		.reason = "there is nothing to do",
		.emits = "[{'type':'route.removed',"
			 "'data':{'host':'shop.example.com'}}]",
	},
	{
		.name = "a route that is being removed is asked for again",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'requested','requested_at':1,'targets':[]}]}",
		.type = "route.remove-requested",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':3,"
			  "'applied_version':1}],"
			  "'route_version':[{'host':'shop.example.com','version':3,"
			  "'status':'requested','requested_at':1000,'targets':[]}]}",
	},
	{
		.name = "a version that reverted the route takes effect",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'requested','requested_at':1,'targets':[]}]}",
		.type = "route.reverted",
		.data = "{'host':'shop.example.com','version':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			  "'applied_version':2}],"
			  "'route_version':[{'host':'shop.example.com','version':2,"
			  "'status':'changed','requested_at':1,'finished_at':1000,"
			  "'targets':[]}]}",
	},
	{
		.name = "nothing was reverted",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'requested','requested_at':1,'targets':[]}]}",
		.type = "route.reverted",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_IGNORED,
		.reason = "no version named: there was nothing to do",
	},
	{
		.name = "a version that removed the route takes effect",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'requested','requested_at':1,'targets':[]}]}",
		.type = "route.removed",
		.data = "{'host':'shop.example.com','version':2}",
		.verdict = BUS_APPLIED,
		.writes = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			  "'applied_version':2}],"
			  "'route_version':[{'host':'shop.example.com','version':2,"
			  "'status':'changed','requested_at':1,'finished_at':1000,"
			  "'targets':[]}]}",
	},
	{
		.name = "nothing was removed",
		.given = "{'route':[{'host':'shop.example.com','wanted_version':2,"
			 "'applied_version':1}],"
			 "'route_version':[{'host':'shop.example.com','version':2,"
			 "'status':'requested','requested_at':1,'targets':[]}]}",
		.type = "route.removed",
		.data = "{'host':'shop.example.com'}",
		.verdict = BUS_IGNORED,
		.reason = "no version named: there was nothing to do",
	},
	{ 0 },
};

static void
every_event(void)
{
	bus_bench_cases(&bus_route_worker, cases);
}

#define ROUTE                                                                            \
	"{'route':[{'host':'shop.example.com','wanted_version':1,'applied_version':1}]}"

static void
own_answers(void)
{
	static const bus_fold_case asked[] = {
		{ .name = "own revert",
		  .given = ROUTE,
		  .type = "route.revert-requested",
		  .data = "{'host':'shop.example.com'}" },
		{ .name = "own removal",
		  .type = "route.remove-requested",
		  .sagastep = "unroute/do/1",
		  .data = "{'host':'shop.example.com'}" },
		{ .name = "own change",
		  .given = "{'route':[{'host':'shop.example.com','wanted_version':1,"
			   "'applied_version':1}],'route_version':[{'host':"
			   "'shop.example.com','version':1,'status':'changed',"
			   "'requested_at':1,'finished_at':2}],'route_step':[{"
			   "'sagaid':'saga-1','step':'shift/do','host':"
			   "'shop.example.com','version':1}]}",
		  .type = "route.shift-requested",
		  .sagastep = "shift/do/2",
		  .data = "{'host':'shop.example.com','release':1,'weight':1}" },
	};
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		CU_ASSERT_EQUAL(bus_bench_echo(&bus_route_worker, &asked[i]), BUS_IGNORED);
	}
}

static void
any_history(void)
{
	static const bus_fold_draw draws[] = {
		{ "route.change-requested",
		  "{'host':'a.example','targets':[{'release':#,'weight':100}]}" },
		{ "route.shift-requested",
		  "{'host':'a.example','release':#,'weight':#0}" },
		{ "route.shift-requested @shift#/do/#",
		  "{'host':'a.example','release':#,'weight':#1}" },
		{ "route.shift-requested @shift#/do/#",
		  "{'host':'a.example','release':#,'weight':#}" },
		{ "route.revert-requested @shift#/undo/#", "{'host':'a.example'}" },
		{ "route.revert-requested @shift#/undo/#", "{'host':'a.example'}" },
		{ "route.remove-requested @unroute/do/#", "{'host':'a.example'}" },
		{ "route.revert-requested @unroute/undo/#", "{'host':'a.example'}" },
		{ "route.changed", "{'host':'a.example','version':#}" },
		{ "route.changed", "{'host':'a.example','version':1#}" },
		{ "route.reverted", "{'host':'a.example','version':#}" },
		{ "route.removed", "{'host':'a.example','version':2#}" },
		{ "route.failed", "{'host':'a.example','version':#,'reason':'reason #'}" },
	};
	bus_bench_histories(&bus_route_worker, draws, sizeof(draws) / sizeof(draws[0]));
}

static const bus_case suite_cases[] = {
	{ "each event does what it says", every_event },
	{ "an answer that comes back changes nothing", own_answers },
	{ "the same history gives the same rows however it is folded", any_history },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { .name = "fold_route_steps", .cases = suite_cases };
