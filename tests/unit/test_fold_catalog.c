/*
 * test_fold_catalog.c - what each event does to tenants, apps and artifacts
 */
#include "tests/support/fold_bench.h"
#include "tests/support/suite.h"
#include "workers/catalog/handler.h"

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const bus_fold_case cases[] = {
	{
		.name = "a tenant is created",
		.type = "catalog.tenant.created",
		.subject = "",
		.data = "{'name':'Acme Inc','plan':'pro'}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'tenant':[{'name':'Acme Inc','plan':'pro','created_at':1000}]}",
	},
	{
		.name = "a tenant without a plan",
		.type = "catalog.tenant.created",
		.subject = "",
		.data = "{'name':'Acme Inc'}",
		.verdict = BUS_APPLIED,
		.writes = "{'tenant':[{'name':'Acme Inc','created_at':1000}]}",
	},
	{
		.name = "a tenant that exists stays what it is",
		.given = "{'tenant':[{'name':'Acme Inc','created_at':7}]}",
		.type = "catalog.tenant.created",
		.subject = "",
		.data = "{'name':'Acme Ltd'}",
		.verdict = BUS_IGNORED,
		.reason = "tenant exists",
	},
	{
		.name = "a tenant's creation has no subject",
		.type = "catalog.tenant.created",
		.data = "{'name':'Acme Inc'}",
		.verdict = BUS_REJECTED,
		.reason =
			"tenant.created is about the tenant itself: it must not have a subject",
	},
	{
		.name = "an app is created",
		.type = "catalog.app.created",
		.data = "{'description':'the shop','owner':'ann'}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'app':[{'description':'the shop','owner':'ann','created_at':1000}]}",
	},
	{
		.name = "an app that exists stays what it is",
		.given = "{'app':[{'owner':'ann','created_at':7}]}",
		.type = "catalog.app.created",
		.data = "{'owner':'bob'}",
		.verdict = BUS_IGNORED,
		.reason = "app exists",
	},
	{
		.name = "an app created after its deletion is a new one",
		.given = "{'app':[{'description':'old','owner':'ann','created_at':7,"
			 "'deleted_at':8,'delete_reason':'unused'}]}",
		.type = "catalog.app.created",
		.data = "{'owner':'bob'}",
		.verdict = BUS_APPLIED,
		.writes = "{'app':[{'owner':'bob','created_at':1000}]}",
	},
	{
		.name = "an app's creation names the app",
		.type = "catalog.app.created",
		.subject = "",
		.data = "{}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "an app is deleted and its row stays",
		.given = "{'app':[{'description':'old','owner':'ann','created_at':7}]}",
		.type = "catalog.app.deleted",
		.data = "{'reason':'unused'}",
		.verdict = BUS_APPLIED,
		.writes = "{'app':[{'description':'old','owner':'ann','created_at':7,"
			  "'deleted_at':1000,'delete_reason':'unused'}]}",
	},
	{
		.name = "an app is deleted once",
		.given =
			"{'app':[{'created_at':7,'deleted_at':8,'delete_reason':'unused'}]}",
		.type = "catalog.app.deleted",
		.data = "{'reason':'again'}",
		.verdict = BUS_IGNORED,
		.reason = "app is deleted already",
	},
	{
		.name = "an unknown app cannot be deleted",
		.type = "catalog.app.deleted",
		.data = "{}",
		.verdict = BUS_IGNORED,
		.reason = "no such app",
	},
	{
		.name = "an app's deletion names the app",
		.type = "catalog.app.deleted",
		.subject = "",
		.data = "{}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "an artifact is registered",
		.type = "catalog.artifact.registered",
		.data = "{'image':'shop:1','digest':'" DIGEST "','size_bytes':123456,"
			"'source_commit':'4f2a'}",
		.verdict = BUS_APPLIED,
		.writes =
			"{'artifact':[{'digest':'" DIGEST "','image':'shop:1',"
			"'size_bytes':123456,'source_commit':'4f2a','registered_at':1000}]}",
	},
	{
		.name = "an artifact of which only the image is known",
		.type = "catalog.artifact.registered",
		.data = "{'image':'shop:1','digest':'" DIGEST "'}",
		.verdict = BUS_APPLIED,
		.writes = "{'artifact':[{'digest':'" DIGEST "','image':'shop:1',"
			  "'registered_at':1000}]}",
	},
	{
		.name = "a digest is registered once",
		.given = "{'artifact':[{'digest':'" DIGEST "','image':'shop:1',"
			 "'registered_at':7}]}",
		.type = "catalog.artifact.registered",
		.data = "{'image':'shop:2','digest':'" DIGEST "'}",
		.verdict = BUS_IGNORED,
		.reason = "artifact is registered already",
	},
	{
		.name = "another digest is another artifact",
		.given =
			"{'artifact':[{'digest':'sha256:1','image':'shop:1','registered_at':7}]}",
		.type = "catalog.artifact.registered",
		.data = "{'image':'shop:1','digest':'" DIGEST "'}",
		.verdict = BUS_APPLIED,
		.writes = "{'artifact':[{'digest':'" DIGEST "','image':'shop:1',"
			  "'registered_at':1000}]}",
	},
	{
		.name = "an artifact belongs to an app",
		.type = "catalog.artifact.registered",
		.subject = "",
		.data = "{'image':'shop:1','digest':'" DIGEST "'}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "a type the catalog has no use for",
		.type = "catalog.app.renamed",
		.data = "{}",
		.verdict = BUS_IGNORED,
		.reason = "worker catalog has no use for this type",
	},
	{
		.name = "an app is deleted on request",
		.given = "{'app':[{'owner':'ann','created_at':5}]}",
		.type = "catalog.app.delete-requested",
		.data = "{'reason':'unused'}",
		.verdict = BUS_APPLIED,
		.writes = "{'app':[{'owner':'ann','created_at':5,'deleted_at':1000,"
			  "'delete_reason':'unused'}]}",
		.emits = "[{'type':'catalog.app.deleted','data':{'reason':'unused'}}]",
	},
	{
		.name = "a request to delete what is deleted is answered",
		.given = "{'app':[{'created_at':5,'deleted_at':6,'delete_reason':'old'}]}",
		.type = "catalog.app.delete-requested",
		.sagastep = "delete/do/2",
		.data = "{'reason':'unused'}",
		.verdict = BUS_IGNORED,
		.reason = "app is deleted already",
		.emits = "[{'type':'catalog.app.deleted','data':{'reason':'old'}}]",
	},
	{
		.name = "a request to delete what never was is refused",
		.type = "catalog.app.delete-requested",
		.data = "{}",
		.verdict = BUS_REJECTED,
		.reason = "there is no such app",
		.emits = "[{'type':'catalog.app.delete-failed','data':{'reason':'there is no "
			 "such app'}}]",
	},
	{
		.name = "a request to delete names the app",
		.type = "catalog.app.delete-requested",
		.subject = "",
		.data = "{}",
		.verdict = BUS_REJECTED,
		.reason = "the subject must name the app",
	},
	{
		.name = "a refused deletion that comes back",
		.type = "catalog.app.delete-failed",
		.data = "{'reason':'there is no such app'}",
		.verdict = BUS_IGNORED,
		.reason = "it answers a refused request",
	},
	{ 0 },
};

static void
every_event(void)
{
	bus_bench_cases(&bus_catalog_worker, cases);
}

static void
any_history(void)
{
	static const bus_fold_draw draws[] = {
		{ "catalog.tenant.created", "{'name':'Tenant #'}" },
		{ "catalog.app.created", "{'owner':'owner #'}" },
		{ "catalog.app.created", "{'description':'number #'}" },
		{ "catalog.app.delete-requested @delete/do/#", "{'reason':'reason #'}" },
		{ "catalog.app.deleted", "{'reason':'reason #'}" },
		{ "catalog.app.deleted", "{}" },
		{ "catalog.artifact.registered",
		  "{'image':'shop:#','digest':'sha256:#'}" },
	};
	bus_bench_histories(&bus_catalog_worker, draws, sizeof(draws) / sizeof(draws[0]));
}

static const bus_case suite_cases[] = {
	{ "each event does what it says", every_event },
	{ "the same history gives the same rows however it is folded", any_history },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { .name = "fold_catalog", .cases = suite_cases };
