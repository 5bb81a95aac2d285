/*
 * kafka.h - the parts of the Kafka adapter; private to this folder
 *
 * DESIGN
 * Three handles of librdkafka, each made when it is first needed: admin asks (topics,
 * partitions, offsets), a producer writes, a consumer reads. Producer and consumer are
 * thrown away whole: a producer after anything that leaves its state in doubt, a consumer
 * with its group. Whatever ends a handle does so on a thread of its own (closing.c),
 * because librdkafka's own end may hang.
 *
 * Callbacks run inside our own polls, on the owner's thread; only the log callback does
 * not, and it touches nothing of ours.
 */
#ifndef BUSP_KAFKA_H
#define BUSP_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "broker-adapters/shared.h"

#define BUSP_ORIGIN "kafka"
#define BUSP_KAFKA_TEXT_MAX 400

typedef enum busp_kafka_role {
	BUSP_ROLE_ADMIN = 1,
	BUSP_ROLE_PRODUCER = 2,
	BUSP_ROLE_CONSUMER = 4,
} busp_kafka_role;

/* A topic that was asked for: its name outlives every delivery that points to it. */
typedef struct busp_kafka_topic {
	char *name;
	int32_t partitions; /* 0: not known yet */
} busp_kafka_topic;

/* A topic as one producer knows it. */
typedef struct busp_target {
	const char *name; /* of the adapter's table */
	rd_kafka_topic_t *rkt;
	int32_t partitions;
} busp_target;

typedef struct busp_producer {
	rd_kafka_t *rk;
	busp_target *targets;
	size_t target_count;
	size_t target_capacity;
	bool spoiled; /* its state is in doubt: the next publish begins with a new one */

	/* the batch under way; a report carries its number, so that a late one is known */
	uint32_t batch;
	bus_publication *publications;
	size_t publication_count;
	size_t outstanding;
} busp_producer;

/* A partition that is being read. */
typedef struct busp_reading {
	const char *topic; /* of the adapter's table */
	int32_t partition;
	int64_t next;    /* offset of the first record that was not handed over */
	int64_t doubted; /* arrived broken, and is fetched again; -1: none */
	bool held;       /* OUT_OF_RANGE or DAMAGED was reported */
} busp_reading;

/* What a poll has to tell besides deliveries. */
typedef enum busp_event {
	BUSP_EVENT_NONE,
	BUSP_EVENT_ASSIGNED,
	BUSP_EVENT_REVOKED,
	BUSP_EVENT_LOST,
	BUSP_EVENT_OUT_OF_RANGE,
	BUSP_EVENT_DAMAGED,
} busp_event;

typedef struct busp_consumer {
	rd_kafka_t *rk;
	const char *topic; /* of the group's subscription, NULL: no group */
	bool closing;      /* a thread of closing.c owns it now */
	bool down;         /* every broker was unreachable when last heard of */
	bool asked;        /* REVOKED or LOST was told, stop is the answer */
	bool restart;      /* a fetch ended for no good reason: assign again */
	int64_t heard_ms;  /* when the last message came, or silence was looked into */
	size_t looked;     /* how often */
	busp_event event;
	bus_position *assigned; /* what ASSIGNED told; REVOKED and LOST repeat it */
	size_t assigned_count;
	bus_position hold; /* what OUT_OF_RANGE and DAMAGED point to */
	busp_reading *readings;
	size_t reading_count;
	size_t reading_capacity;
	size_t reading_last;         /* where the last message belonged */
	rd_kafka_resp_err_t trouble; /* to be told by the next poll that has nothing else */
	char trouble_text[BUSP_KAFKA_TEXT_MAX];

	/* the batch on loan */
	rd_kafka_message_t **messages;
	size_t message_count;
	size_t message_capacity;
	bus_delivery *deliveries;
	size_t delivery_capacity;
	size_t bytes;
	rd_kafka_message_t *waiting; /* read, but over the limit of the last batch */
	bus_arena *arena;            /* its headers */
} busp_consumer;

typedef struct busp_kafka {
	bus_adapter base;
	char *brokers;
	char *client_id;
	char *properties;
	int64_t session_ms;
	busp_kafka_topic **topics;
	size_t topic_count;
	size_t topic_capacity;
	rd_kafka_t *admin;
	busp_producer *producer;
	busp_consumer *consumer;
} busp_kafka;

static inline busp_kafka *
busp_kafka_of(bus_adapter *adapter)
{
	return (busp_kafka *)adapter;
}

/* ---- settings.c ---- */

/* A handle of that role. Takes conf, in which the caller has set its callbacks, in any
 * case. FATAL: refused, with the library's own text. */
BUS_MUST_CHECK bus_status busp_kafka_handle(const busp_kafka *self, busp_kafka_role role,
					    const char *group, rd_kafka_conf_t *conf,
					    rd_kafka_t **ret_rk, bus_error *err);

/* ---- errors.c ---- */

/* What a code means to who asks or writes, and to who polls. */
bus_status busp_kafka_asking(rd_kafka_resp_err_t code);
bus_status busp_kafka_polling(rd_kafka_resp_err_t code);

/* ---- kafka.c ---- */

/* The name as the adapter keeps it until it is closed. */
busp_kafka_topic *busp_kafka_topic_use(busp_kafka *self, const char *name);
int64_t busp_kafka_deadline(int timeout_ms);
/* Never below 1, which librdkafka takes as "do not wait". */
int busp_kafka_left(int64_t deadline_ms);

/* ---- admin.c ---- */

bus_status busp_kafka_topic_ensure(bus_adapter *adapter, const bus_topic_spec *spec,
				   int timeout_ms, bus_topic_info *ret_info,
				   bool *ret_made, bus_error *err);
bus_status busp_kafka_topic_list(bus_adapter *adapter, const char *prefix, int timeout_ms,
				 bus_arena *arena, bus_topic_info **ret_topics,
				 size_t *ret_count, bus_error *err);
bus_status busp_kafka_partitions(bus_adapter *adapter, const char *topic, int timeout_ms,
				 int32_t *ret_count, bus_error *err);
bus_status busp_kafka_offset(bus_adapter *adapter, const char *topic, int32_t partition,
			     bus_offset_at at, int64_t time_ms, int timeout_ms,
			     int64_t *ret_offset, bus_error *err);
/* An admin request under way. */
typedef struct busp_request {
	rd_kafka_AdminOptions_t *options;
	rd_kafka_queue_t *queue;
} busp_request;

busp_request busp_kafka_request_begin(busp_kafka *self, rd_kafka_admin_op_t op,
				      int64_t deadline_ms);
/* The answer, or NULL; the caller destroys it. */
rd_kafka_event_t *busp_kafka_request_end(busp_request *request, int64_t deadline_ms);
/* An error of an answer about a topic, with the library's text or the broker's. */
bus_status busp_kafka_refuse(bus_error *err, rd_kafka_resp_err_t code, const char *what,
			     const char *topic, const char *text);
/* Partitions of a topic as this handle sees it; the handle knows the topic from then on. */
bus_status busp_kafka_count(rd_kafka_t *rk, rd_kafka_topic_t *rkt, int timeout_ms,
			    int32_t *ret_count, bus_error *err);

/* ---- sealing.c ---- */

/* Our own word for a refusal that ends when the topic is opened again; RETRY. */
#define BUSP_KAFKA_SEALED RD_KAFKA_RESP_ERR__READ_ONLY

bus_status busp_kafka_trim(bus_adapter *adapter, const char *topic, int32_t partition,
			   int64_t new_start, int timeout_ms, bus_error *err);
bus_status busp_kafka_seal(bus_adapter *adapter, const char *topic, bool sealed,
			   int timeout_ms, bus_error *err);
/* Which of the publications that the broker called too large met a seal: their code becomes
 * BUSP_KAFKA_SEALED. */
void busp_kafka_tell_sealed(busp_kafka *self, bus_publication *publications, size_t count,
			    int64_t deadline_ms);

/* ---- producer.c ---- */

bus_status busp_kafka_publish(bus_adapter *adapter, bus_publication *publications,
			      size_t count, int timeout_ms, bus_error *err);
void busp_producer_free(busp_producer *producer);

/* ---- consumer.c, reading.c ---- */

bus_status busp_kafka_join(bus_adapter *adapter, const char *group, const char *topic,
			   bus_error *err);
void busp_kafka_leave(bus_adapter *adapter);
bus_status busp_kafka_start(bus_adapter *adapter, const bus_position *positions,
			    size_t count, bus_error *err);
void busp_kafka_stop(bus_adapter *adapter);
bus_status busp_kafka_poll(bus_adapter *adapter, const bus_poll_limit *limit,
			   bus_poll *ret_poll, bus_error *err);
void busp_kafka_note(bus_adapter *adapter, const bus_position *positions, size_t count);
void busp_consumer_free(busp_consumer *consumer);
/* Gives the batch on loan back; what waits stays. */
void busp_consumer_release(busp_consumer *consumer);
/* Gives back all that was read, for it is not to be delivered. */
void busp_consumer_forget(busp_consumer *consumer);
/* Reads on from every reading's next offset, nothing that was fetched before. */
bus_status busp_consumer_assign(busp_consumer *consumer, bus_error *err);

/* ---- closing.c ---- */

/* Ends handles on a thread of their own; takes all three, each may be NULL. Waits up to
 * wait_ms; what has not ended by then ends on its own or leaks. */
void busp_kafka_end(busp_consumer *consumer, busp_producer *producer, rd_kafka_t *admin,
		    int wait_ms);

#endif
