/*
 * errors.c - what librdkafka's codes mean to us, once; a code that is not here is FATAL
 */
#include "broker-adapters/kafka/kafka.h"

typedef struct busp_meaning {
	rd_kafka_resp_err_t code;
	bus_status asking;  /* to publish, and to the questions of admin.c */
	bus_status polling; /* BUS_OK: no matter of ours, librdkafka deals with it */
} busp_meaning;

#define BUSP_MEANS(name, asking, polling)                                                \
	{                                                                                \
		RD_KAFKA_RESP_ERR_##name, asking, polling                                \
	}
#define BUSP_RETRY(name) BUSP_MEANS(name, BUS_E_RETRY, BUS_E_RETRY)

static const busp_meaning busp_meanings[] = {
	/* the way to a broker; one of several being down is no matter while another is up */
	BUSP_MEANS(_TRANSPORT, BUS_E_RETRY, BUS_OK),
	BUSP_MEANS(_RESOLVE, BUS_E_RETRY, BUS_OK),
	BUSP_RETRY(_ALL_BROKERS_DOWN),
	BUSP_RETRY(_TIMED_OUT),
	BUSP_RETRY(_TIMED_OUT_QUEUE),
	BUSP_RETRY(_WAIT_COORD),
	BUSP_RETRY(_WAIT_CACHE),
	BUSP_RETRY(_IN_PROGRESS),
	BUSP_RETRY(_PREV_IN_PROGRESS),
	BUSP_RETRY(_OUTDATED),
	BUSP_RETRY(_INTR),
	BUSP_RETRY(NETWORK_EXCEPTION),
	BUSP_RETRY(REQUEST_TIMED_OUT),
	BUSP_RETRY(THROTTLING_QUOTA_EXCEEDED),
	/* an unclean end of TLS is taken for this one until 2.2.0 (librdkafka#4294) */
	BUSP_RETRY(_SSL),

	/* a cluster that is starting or changing */
	BUSP_RETRY(BROKER_NOT_AVAILABLE),
	BUSP_RETRY(LEADER_NOT_AVAILABLE),
	BUSP_RETRY(NOT_LEADER_FOR_PARTITION),
	BUSP_RETRY(REPLICA_NOT_AVAILABLE),
	BUSP_RETRY(PREFERRED_LEADER_NOT_AVAILABLE),
	BUSP_RETRY(OFFSET_NOT_AVAILABLE),
	BUSP_RETRY(FENCED_LEADER_EPOCH),
	BUSP_RETRY(UNKNOWN_LEADER_EPOCH),
	BUSP_RETRY(STALE_CTRL_EPOCH),
	BUSP_RETRY(NOT_CONTROLLER),
	BUSP_RETRY(KAFKA_STORAGE_ERROR),
	BUSP_RETRY(NOT_ENOUGH_REPLICAS),
	BUSP_RETRY(NOT_ENOUGH_REPLICAS_AFTER_APPEND),
	BUSP_RETRY(REASSIGNMENT_IN_PROGRESS),
	/* asking is how one learns that a topic is missing; a poll hears it too from a
	 * broker that has just started and has not read its metadata yet */
	BUSP_MEANS(UNKNOWN_TOPIC_OR_PART, BUS_E_FATAL, BUS_E_RETRY),
	BUSP_MEANS(_UNKNOWN_TOPIC, BUS_E_FATAL, BUS_E_RETRY),
	BUSP_MEANS(_UNKNOWN_PARTITION, BUS_E_FATAL, BUS_E_RETRY),

	/* writing: the producer is thrown away, the next one sends again */
	BUSP_RETRY(_QUEUE_FULL),
	BUSP_RETRY(_MSG_TIMED_OUT),
	BUSP_RETRY(_PURGE_QUEUE),
	BUSP_RETRY(_PURGE_INFLIGHT),
	BUSP_MEANS(_FATAL, BUS_E_RETRY, BUS_E_FATAL),
	BUSP_MEANS(_GAPLESS_GUARANTEE, BUS_E_RETRY, BUS_E_FATAL),
	BUSP_MEANS(_READ_ONLY, BUS_E_RETRY, BUS_E_FATAL), /* ours: BUSP_KAFKA_SEALED */
	BUSP_RETRY(OUT_OF_ORDER_SEQUENCE_NUMBER),
	BUSP_RETRY(INVALID_PRODUCER_EPOCH),
	BUSP_RETRY(UNKNOWN_PRODUCER_ID),

	/* the group: membership is lost or moves; a rebalance says so, and the member joins
	 * again by itself */
	BUSP_RETRY(COORDINATOR_LOAD_IN_PROGRESS),
	BUSP_RETRY(COORDINATOR_NOT_AVAILABLE),
	BUSP_RETRY(NOT_COORDINATOR),
	BUSP_MEANS(_MAX_POLL_EXCEEDED, BUS_E_FATAL, BUS_OK),
	BUSP_MEANS(_ASSIGNMENT_LOST, BUS_E_FATAL, BUS_OK),
	BUSP_MEANS(ILLEGAL_GENERATION, BUS_E_FATAL, BUS_OK),
	BUSP_MEANS(UNKNOWN_MEMBER_ID, BUS_E_FATAL, BUS_OK),
	BUSP_MEANS(REBALANCE_IN_PROGRESS, BUS_E_FATAL, BUS_OK),

	/* said here because one might think otherwise: a batch with a bad checksum is
	 * skipped by librdkafka after this error, so going on would lose it silently;
	 * reading.c holds the partition if it is known which */
	BUSP_MEANS(_BAD_MSG, BUS_E_FATAL, BUS_E_FATAL),
};

static const busp_meaning *
busp_meaning_of(rd_kafka_resp_err_t code)
{
	static const busp_meaning unlisted = { RD_KAFKA_RESP_ERR_UNKNOWN, BUS_E_FATAL,
					       BUS_E_FATAL };

	for (size_t i = 0; i < sizeof(busp_meanings) / sizeof(busp_meanings[0]); i++) {
		if (busp_meanings[i].code == code) {
			return &busp_meanings[i];
		}
	}
	return &unlisted;
}

bus_status
busp_kafka_asking(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ? BUS_OK :
						    busp_meaning_of(code)->asking;
}

bus_status
busp_kafka_polling(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ? BUS_OK :
						    busp_meaning_of(code)->polling;
}
