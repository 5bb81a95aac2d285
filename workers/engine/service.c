/*
 * service.c - what a long-running role stands on
 */
#include "workers/engine/service.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "core/log.h"

/* A pause looks for the stop flag this often; a signal ends the poll at once anyway, unless
 * it arrives just before it. */
#define PAUSE_SLICE_MS 100

int64_t
bus_backoff_next_ms(bus_backoff *backoff)
{
	if (backoff->attempt == 0) {
		backoff->attempt = 1;
		return 0;
	}
	unsigned shift = backoff->attempt < 20 ? backoff->attempt - 1 : 19;
	int64_t ceiling = backoff->base_ms << shift;
	if (ceiling > backoff->cap_ms) {
		ceiling = backoff->cap_ms;
	}
	backoff->attempt++;
	/* xorshift64: jitter needs spread, not secrecy */
	uint64_t x = backoff->seed != 0 ? backoff->seed : UINT64_C(88172645463325252);
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	backoff->seed = x;
	int64_t spread = ceiling - backoff->base_ms;
	return backoff->base_ms +
	       (spread > 0 ? (int64_t)(x % (uint64_t)(spread + 1)) : 0);
}

void
bus_service_pause(const bus_service *service, int64_t wait_ms)
{
	int64_t end = bus_clock_mono_ms(service->clock) + wait_ms;
	while (!*service->stop) {
		int64_t left = end - bus_clock_mono_ms(service->clock);
		if (left <= 0) {
			return;
		}
		(void)poll(NULL, 0, (int)(left < PAUSE_SLICE_MS ? left : PAUSE_SLICE_MS));
	}
}

bus_status
bus_service_adapter(const bus_service *service, bus_adapter **ret_adapter, bus_error *err)
{
	char client_id[96];
	snprintf(client_id, sizeof(client_id), "busline %s", service->role);
	for (char *c = client_id; *c != '\0'; c++) {
		if (*c == ' ') {
			*c = '.'; /* broker logs and quotas split at blanks */
		}
	}
	bus_adapter_options options = {
		.url = bus_config_text(service->config, BUS_CONF_BROKER_URL),
		.properties = bus_config_text(service->config, BUS_CONF_BROKER_PROPERTIES),
		.client_id = client_id,
		.session_ms = bus_config_int(service->config, BUS_CONF_WORKER_SESSION_MS),
		.clock = service->clock,
	};
	return bus_adapter_open(&options, ret_adapter, err);
}

bus_store *
bus_service_store(const bus_service *service, const char *role)
{
	char application_name[96];
	snprintf(application_name, sizeof(application_name), "busline %s", service->role);
	const char *configured = bus_config_text(service->config, BUS_CONF_DB_ROLE);
	bus_store_options options = {
		.url = bus_config_text(service->config, BUS_CONF_DB_URL),
		.role = configured[0] != '\0' ? configured : role,
		.application_name = application_name,
		.deadline_ms = bus_config_int(service->config, BUS_CONF_DB_DEADLINE_MS),
		.durable = bus_config_bool(service->config, BUS_CONF_DB_DURABLE),
		.clock = service->clock,
	};
	return bus_store_create(&options);
}

bus_status
bus_service_connect(const bus_service *service, bus_store *store, bus_error *err)
{
	bus_backoff backoff = { .base_ms = 50,
				.cap_ms = 2000,
				.seed = (uint64_t)getpid() };
	for (;;) {
		bus_error_reset(err);
		bus_service_pause(service, bus_backoff_next_ms(&backoff));
		if (*service->stop) {
			return bus_error_set(
				err, BUS_E_RETRY, "service", 0,
				"told to stop before PostgreSQL could be reached");
		}
		bus_status status = bus_store_connect(store, err);
		if (status == BUS_OK || status == BUS_E_FATAL) {
			return status;
		}
		bus_log_error(BUS_LOG_WARN, "PostgreSQL not reachable, trying again", err);
	}
}
