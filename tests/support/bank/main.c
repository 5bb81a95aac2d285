/*
 * main.c - the bank's worker as a process: engine, one table, nothing else
 */
#include <signal.h>
#include <stdio.h>

#include "core/embed.h"
#include "core/log.h"
#include "tests/support/bank/handler.h"
#include "workers/engine/service.h"

extern const bus_embedded bank_queries[];

static volatile sig_atomic_t stop;

static void
on_signal(int number)
{
	(void)number;
	stop = 1;
}

int
main(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_config *config = bus_config_create();
	const bus_clock *clock = bus_clock_system();
	bus_service service = {
		.config = config, .clock = clock, .role = "worker bank", .stop = &stop
	};
	struct sigaction action = { .sa_handler = on_signal };
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	bus_log_init(service.role, BUS_LOG_INFO, clock);
	bus_store_queries_add(bank_queries);
	bus_status status = bus_config_load(config, NULL, &err);
	if (status == BUS_OK) {
		status = bus_registry_add_directory(
			bus_config_text(config, BUS_CONF_SCHEMAS_DIRECTORY), &err);
	}
	if (status == BUS_OK) {
		status = bus_engine_run(&bank_worker, &service, &err);
	}
	if (status != BUS_OK) {
		bus_log_error(BUS_LOG_ERROR, "worker ended", &err);
	}
	bus_config_destroy(config);
	return status == BUS_OK ? 0 : 1;
}
