/*
 * workers.c - the table of roles
 */
#include "workers/workers.h"

#include "workers/catalog/handler.h"
#include "workers/clock/handler.h"
#include "workers/deploy/handler.h"
#include "workers/relay/handler.h"
#include "workers/route/handler.h"
#include "workers/saga/handler.h"
#include "workers/scale/handler.h"

static const bus_role roles[] = {
	{ "catalog", "Fold busline.catalog into tenants, apps and artifacts",
	  &bus_catalog_worker, NULL },
	{ "deploy", "Fold busline.deploy into releases and deployments",
	  &bus_deploy_worker, NULL },
	{ "scale", "Fold busline.scale into wanted and observed replicas",
	  &bus_scale_worker, NULL },
	{ "route", "Fold busline.route into versioned, weighted routes",
	  &bus_route_worker, NULL },
	{ "saga", "Run sagas: send their steps, wait for answers, take them back",
	  &bus_saga_worker, NULL },
	{ "relay", "Carry the outbox to the topics", NULL, bus_relay_run },
	{ "clock", "Turn timers that are due into events", NULL, bus_clock_run },
	{ NULL, NULL, NULL, NULL },
};

const bus_role *
bus_roles(void)
{
	return roles;
}

bus_status
bus_role_run(const bus_role *role, const bus_service *service, bus_error *err)
{
	return role->worker != NULL ? bus_engine_run(role->worker, service, err) :
				      role->run(service, err);
}
