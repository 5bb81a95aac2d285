/*
 * workers.h - all of them
 */
#ifndef BUS_WORKERS_H
#define BUS_WORKERS_H

#include "workers/engine/service.h"

typedef struct bus_role {
	const char *name; /* `busline worker NAME` */
	const char *help;
	const bus_worker *worker; /* a table of folds, or NULL */
	bus_status (*run)(const bus_service *service,
			  bus_error *err); /* or its own loop */
} bus_role;

/* Static, ended by a row whose name is NULL. */
const bus_role *bus_roles(void);

/* Runs it until told to stop; BUS_E_FATAL if it cannot go on. */
BUS_MUST_CHECK bus_status bus_role_run(const bus_role *role, const bus_service *service,
				       bus_error *err);

#endif
