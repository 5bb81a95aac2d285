/*
 * service.c - what a long-running role stands on
 */
#include "workers/engine/service.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
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
bus_service_locate(const bus_service *service, bus_store *store, bus_place *place,
		   bool *ret_moved, bus_error *err)
{
	int64_t now_ms = bus_clock_mono_ms(service->clock);
	*ret_moved = false;
	if (place->url[0] != '\0' && now_ms - place->looked_ms < BUS_PLACE_LOOK_MS) {
		return BUS_OK;
	}
	char url[BUS_BROKER_URL_MAX] = "";
	bus_status status = bus_store_broker_url(
		store, bus_config_text(service->config, BUS_CONF_BROKER_URL), url, err);
	if (status != BUS_OK) {
		return status;
	}
	*ret_moved = place->url[0] != '\0' && strcmp(place->url, url) != 0;
	place->looked_ms = now_ms;
	snprintf(place->url, sizeof(place->url), "%s", url);
	if (*ret_moved) {
		BUS_LOG(BUS_LOG_INFO, "the bus has moved to another broker, following",
			BUS_LOG_S("url", bus_str_from(url)));
	}
	return BUS_OK;
}

static const char *
properties_at(const bus_service *service, const char *url)
{
	const char *configured = bus_config_text(service->config, BUS_CONF_BROKER_URL);
	const char *mine = bus_config_text(service->config, BUS_CONF_BROKER_PROPERTIES);
	const char *moved =
		bus_config_text(service->config, BUS_CONF_BROKER_MOVED_PROPERTIES);
	size_t scheme = strcspn(configured, ":");
	if (strcmp(url, configured) == 0) {
		return mine;
	}
	bool alike = strncmp(url, configured, scheme + 1) == 0;
	return moved[0] != '\0' || !alike ? moved : mine;
}

bus_status
bus_service_adapter(const bus_service *service, const char *url,
		    bus_adapter **ret_adapter, bus_error *err)
{
	url = url != NULL ? url : bus_config_text(service->config, BUS_CONF_BROKER_URL);
	char client_id[96];
	snprintf(client_id, sizeof(client_id), "busline %s", service->role);
	for (char *c = client_id; *c != '\0'; c++) {
		if (*c == ' ') {
			*c = '.'; /* broker logs and quotas split at blanks */
		}
	}
	bus_adapter_options options = {
		.url = url,
		.properties = properties_at(service, url),
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

bus_status
bus_service_open(const bus_service *service, bus_store *store, bus_place *place,
		 bus_adapter **ret_adapter, bus_error *err)
{
	bool moved = false;
	for (;;) {
		bus_status status = bus_service_connect(service, store, err);
		if (status == BUS_OK) {
			status = bus_service_locate(service, store, place, &moved, err);
		}
		if (status == BUS_OK) {
			return bus_service_adapter(service, place->url, ret_adapter, err);
		}
		if (status == BUS_E_FATAL || *service->stop) {
			return status;
		}
		bus_log_error(BUS_LOG_WARN, "not known where the bus is, trying again",
			      err);
		bus_store_disconnect(store);
	}
}
