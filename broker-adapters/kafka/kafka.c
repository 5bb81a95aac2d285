/*
 * kafka.c - Apache Kafka through librdkafka: the table of operations, opening and closing
 */
#include "broker-adapters/kafka/kafka.h"

#include <stdlib.h>

#define BUSP_URL_PREFIX "kafka://"

busp_kafka_topic *
busp_kafka_topic_use(busp_kafka *self, const char *name)
{
	for (size_t i = 0; i < self->topic_count; i++) {
		if (strcmp(self->topics[i]->name, name) == 0) {
			return self->topics[i];
		}
	}
	self->topics =
		busp_adapter_grow(self->topics, self->topic_count, &self->topic_capacity,
				  sizeof(busp_kafka_topic *));
	busp_kafka_topic *topic = busp_adapter_alloc(1, sizeof(*topic));

	topic->name = busp_adapter_copy(name);
	self->topics[self->topic_count++] = topic;
	return topic;
}

/* Waits for a real broker take real time, whatever clock a test injects. */
int64_t
busp_kafka_deadline(int timeout_ms)
{
	return bus_clock_mono_ms(bus_clock_system()) + timeout_ms;
}

int
busp_kafka_left(int64_t deadline_ms)
{
	int left = busp_remaining_ms(bus_clock_system(), deadline_ms);

	return left > 0 ? left : 1;
}

static void
busp_kafka_free(busp_kafka *self)
{
	for (size_t i = 0; i < self->topic_count; i++) {
		free(self->topics[i]->name);
		free(self->topics[i]);
	}
	free(self->topics);
	free(self->brokers);
	free(self->client_id);
	free(self->properties);
	free(self);
}

/* The admin handle is made here: it connects in the background, and all that is wrong with
 * URL or properties is known now and not at the first event. */
static bus_status
busp_kafka_open(const bus_adapter_options *options, bus_adapter **ret_adapter,
		bus_error *err)
{
	size_t prefix = strlen(BUSP_URL_PREFIX);

	if (strncmp(options->url, BUSP_URL_PREFIX, prefix) != 0 ||
	    options->url[prefix] == '\0' ||
	    strpbrk(options->url + prefix, "/? ") != NULL) {
		return bus_error_set(
			err, BUS_E_FATAL, BUSP_ORIGIN, 0,
			"broker URL \"%.200s\" is not kafka://host:port[,host:port]",
			options->url);
	}
	busp_kafka *self = busp_adapter_alloc(1, sizeof(*self));

	self->base.ops = &busp_kafka_ops;
	self->brokers = busp_adapter_copy(options->url + prefix);
	self->client_id =
		busp_adapter_copy(options->client_id != NULL ? options->client_id :
							       "busline");
	self->properties =
		busp_adapter_copy(options->properties != NULL ? options->properties : "");
	self->session_ms = options->session_ms;
	bus_status status = busp_kafka_handle(self, BUSP_ROLE_ADMIN, NULL,
					      rd_kafka_conf_new(), &self->admin, err);

	if (status != BUS_OK) {
		busp_kafka_free(self);
		return status;
	}
	*ret_adapter = &self->base;
	return BUS_OK;
}

/* The thread that ends the handles looks at nothing that is freed here. */
static void
busp_kafka_close(bus_adapter *adapter)
{
	busp_kafka *self = busp_kafka_of(adapter);

	busp_kafka_end(self->consumer, self->producer, self->admin, BUS_CLOSE_MS_MAX);
	busp_kafka_free(self);
}

const bus_adapter_ops busp_kafka_ops = {
	.scheme = "kafka",
	.open = busp_kafka_open,
	.close = busp_kafka_close,
	.topic_ensure = busp_kafka_topic_ensure,
	.topic_list = busp_kafka_topic_list,
	.partitions = busp_kafka_partitions,
	.publish = busp_kafka_publish,
	.join = busp_kafka_join,
	.leave = busp_kafka_leave,
	.start = busp_kafka_start,
	.stop = busp_kafka_stop,
	.poll = busp_kafka_poll,
	.offset = busp_kafka_offset,
	.trim = busp_kafka_trim,
	.seal = busp_kafka_seal,
	.note = busp_kafka_note,
};
