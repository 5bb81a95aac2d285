/*
 * registry.c - which adapter a URL means
 */
#include <stdio.h>

#include "broker-adapters/shared.h"

static const bus_adapter_ops *const busp_adapters[] = {
	&busp_kafka_ops,
	&busp_nng_ops,
	&busp_memory_ops,
	&busp_fault_ops,
};

#define BUSP_ADAPTER_COUNT (sizeof(busp_adapters) / sizeof(busp_adapters[0]))

/* "kafka://...", "memory:...", and "fault+kafka://...": what decorates ends in '+'. */
static bool
busp_scheme_is(const char *url, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncmp(url, scheme, len) == 0 && (url[len] == ':' || url[len] == '+');
}

bus_status
bus_adapter_open(const bus_adapter_options *options, bus_adapter **ret_adapter,
		 bus_error *err)
{
	char known[128] = "";
	size_t len = 0;

	for (size_t i = 0; i < BUSP_ADAPTER_COUNT; i++) {
		if (busp_scheme_is(options->url, busp_adapters[i]->scheme)) {
			return busp_adapters[i]->open(options, ret_adapter, err);
		}
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
					i > 0 ? ", " : "", busp_adapters[i]->scheme);
	}
	return bus_error_set(
		err, BUS_E_FATAL, "adapter", 0,
		"broker URL \"%.200s\": no adapter has this scheme (known: %s)",
		options->url, known);
}
