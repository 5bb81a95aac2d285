/*
 * adapter.h - how events travel: the contract every broker keeps
 *
 * DESIGN
 * A broker holds topics; a topic is a fixed number of partitions; a partition is a log
 * of records with offsets that only grow. Positions belong to the caller (they live in
 * PostgreSQL): the broker's own cursor is written for the ecosystem's lag tools and never
 * read. An adapter is used by one thread, its owner's; what it runs inside is its own
 * business. Nothing of the broker's library crosses this header.
 *
 * A group's life: join -> poll says ASSIGNED -> the caller fences, reads its positions
 * and calls start -> poll gives DELIVERIES ... -> poll says REVOKED (or LOST) -> the
 * caller drains and calls stop -> ASSIGNED again, or leave. Without a group: start,
 * poll, stop. start on a partition that is being read rewinds it.
 */
#ifndef BUS_ADAPTER_H
#define BUS_ADAPTER_H

#include "core/clock.h"
#include "core/event.h"
#include "core/status.h"
#include "core/str.h"

typedef struct bus_adapter bus_adapter;

/* Longest wait of one poll; a worker looks for signals between two. */
#define BUS_POLL_MS_MAX 1000
/* Most partitions of one topic; a position row and an epoch each. */
#define BUS_PARTITIONS_MAX 1024
/* Longest topic name, as Kafka has it, and its NUL. */
#define BUS_TOPIC_NAME_MAX 250
/* Closing never takes longer: positions are in PostgreSQL, nothing is lost by leaving. */
#define BUS_CLOSE_MS_MAX 10000

typedef struct bus_adapter_options {
	const char *url;        /* kafka://host:port[,...], nng+tcp://host:port,
			 * memory:[name], fault+<url>?<faults> */
	const char *properties; /* further settings of the broker's library, or NULL */
	const char *client_id;  /* shown in the broker's logs and quotas */
	int64_t session_ms; /* group: silent for this long is dead; 0: the default 6000 */
	const bus_clock *clock;
} bus_adapter_options;

typedef struct bus_topic_spec {
	const char *name;
	int32_t partitions;      /* 1 .. BUS_PARTITIONS_MAX */
	int32_t replication;     /* copies */
	int64_t retention_ms;    /* -1: for ever */
	int64_t retention_bytes; /* of a partition; 0: no limit */
	int32_t min_isr;         /* in-sync replicas that must acknowledge */
} bus_topic_spec;

typedef struct bus_topic_info {
	char name[BUS_TOPIC_NAME_MAX];
	int32_t partitions;
	int32_t replication;
	int64_t retention_ms;
	int64_t retention_bytes;
	int32_t min_isr;
} bus_topic_info;

#define BUS_PARTITION_HOME (-1) /* the adapter takes murmur2(key) mod partitions */

typedef enum bus_outcome {
	BUS_OUTCOME_NONE = 0, /* not tried yet */
	BUS_OUTCOME_DURABLE,  /* acknowledged by every replica that must; offset is set */
	BUS_OUTCOME_FAILED,   /* it is not in the log and will not be */
	BUS_OUTCOME_UNCERTAIN, /* may be in the log: send it again under the same id */
} bus_outcome;

typedef struct bus_publication {
	const char *topic;
	int32_t partition; /* or BUS_PARTITION_HOME */
	bus_record record;
	int64_t timestamp_ms; /* 0: the broker's clock. A copy keeps its original's, where
			       * the broker takes one; where not, it is 0 to it. */
	/* out */
	bus_outcome outcome;
	int32_t ret_partition; /* where it lies; valid if DURABLE */
	int64_t ret_offset;    /* likewise; -1 if the broker does not say */
	int native_code;       /* the broker's reason if not DURABLE */
} bus_publication;

typedef struct bus_delivery {
	const char *topic;
	int32_t partition;
	int64_t offset;
	int64_t timestamp_ms; /* the broker's, -1 if it has none */
	bus_record record;
} bus_delivery;

typedef struct bus_position {
	const char *topic;
	int32_t partition;
	int64_t offset; /* of the next record wanted */
} bus_position;

typedef enum bus_poll_kind {
	BUS_POLL_DELIVERIES, /* count may be 0: the wait ended with nothing */
	BUS_POLL_ASSIGNED,   /* partitions: all that this member has from now on */
	BUS_POLL_REVOKED,    /* all are asked back: drain, then stop */
	BUS_POLL_LOST,       /* all are gone already: drop what is not committed, stop */
	BUS_POLL_OUT_OF_RANGE, /* partitions[0]: its position is not in the log (cut off by
				* retention, or past the end); it delivers nothing until
				* started again. Never resolved by a guess. */
	BUS_POLL_DAMAGED, /* partitions[0]: the record at this offset is there and cannot be
			   * read; it delivers nothing until started again. Never skipped. */
} bus_poll_kind;

typedef struct bus_poll {
	bus_poll_kind kind;
	const bus_delivery *deliveries;
	size_t count;
	const bus_position *partitions;
	size_t partition_count;
} bus_poll;

typedef struct bus_poll_limit {
	size_t events_max;
	size_t bytes_max; /* of keys, headers and values; one event may exceed it */
	int timeout_ms;   /* 0 does not wait; at most BUS_POLL_MS_MAX */
} bus_poll_limit;

typedef enum bus_offset_at {
	BUS_OFFSET_EARLIEST, /* the oldest record still kept */
	BUS_OFFSET_LATEST,   /* one past the newest */
	BUS_OFFSET_TIME,     /* the first record whose timestamp is at or past time_ms;
			      * LATEST if there is none */
} bus_offset_at;

/*
 * The operations. Every member is required. Calls other than close are made by one
 * thread; none may be made from inside another.
 */
typedef struct bus_adapter_ops {
	const char *scheme; /* of the URL, "kafka" */

	/* Allocates and returns *ret_adapter, whose first member is struct bus_adapter.
	 * May connect in the background; an unreachable broker is not an error here.
	 * FATAL: URL or properties are wrong. Does not block. */
	bus_status (*open)(const bus_adapter_options *options, bus_adapter **ret_adapter,
			   bus_error *err);

	/* Leaves the group, flushes nothing, frees everything. Blocks up to
	 * BUS_CLOSE_MS_MAX, then gives up waiting and leaks rather than hang. NULL-safe. */
	void (*close)(bus_adapter *adapter);

	/* Makes the topic if it is missing; if it is there, reports how it is and changes
	 * nothing. Idempotent. Blocks up to timeout_ms. RETRY: broker not reachable. FATAL:
	 * refused (authorisation, replication beyond the brokers). */
	bus_status (*topic_ensure)(bus_adapter *adapter, const bus_topic_spec *spec,
				   int timeout_ms, bus_topic_info *ret_info,
				   bool *ret_made, bus_error *err);

	/* All topics whose name starts with prefix, sorted by name, in the arena, without
	 * the broker's internal ones. Blocks up to timeout_ms. RETRY: not reachable. */
	bus_status (*topic_list)(bus_adapter *adapter, const char *prefix, int timeout_ms,
				 bus_arena *arena, bus_topic_info **ret_topics,
				 size_t *ret_count, bus_error *err);

	/* Number of partitions; answers from memory after the first time. FATAL: no such
	 * topic. RETRY: not reachable. Blocks up to timeout_ms. */
	bus_status (*partitions)(bus_adapter *adapter, const char *topic, int timeout_ms,
				 int32_t *ret_count, bus_error *err);

	/* Appends all and waits until each has an outcome, which it always has on return.
	 * Those of one partition are appended in the order given. OK: all DURABLE. RETRY: at
	 * least one FAILED, none UNCERTAIN. UNKNOWN: at least one UNCERTAIN. FATAL: can
	 * never succeed (too large, no such topic, not allowed). Unless FATAL, an event that
	 * is not in the log has no later one of its partition and call there; behind one that
	 * is UNCERTAIN there may be some. So the caller re-sends in order from the first that
	 * is not DURABLE: order per partition holds, repeats are recognised by id. Blocks up
	 * to timeout_ms. */
	bus_status (*publish)(bus_adapter *adapter, bus_publication *publications,
			      size_t count, int timeout_ms, bus_error *err);

	/* Becomes a member of group for one topic. Does not block; poll reports. FATAL:
	 * refused. A second call without leave is a bug of the caller. */
	bus_status (*join)(bus_adapter *adapter, const char *group, const char *topic,
			   bus_error *err);

	/* Gives membership and partitions up, so that another member gets them at once.
	 * Blocks up to BUS_CLOSE_MS_MAX. Idempotent. */
	void (*leave)(bus_adapter *adapter);

	/* Reads these partitions from these offsets: all of an assignment at once, or, when
	 * reading already, a rewind of some. The next delivery of a partition is the first
	 * record at or past its offset; nothing fetched before the call is delivered after
	 * it. Does not block. FATAL: bug or refused. */
	bus_status (*start)(bus_adapter *adapter, const bus_position *positions,
			    size_t count, bus_error *err);

	/* Delivers nothing more of any partition; in a group, the answer to REVOKED and LOST.
	 * Idempotent. Does not block. */
	void (*stop)(bus_adapter *adapter);

	/* Waits for the next event of any kind. Deliveries of one partition arrive in offset
	 * order; *ret_poll is borrowed until the next call on the adapter. RETRY: broker not
	 * reachable (membership may persist). FATAL: refused, or the client is broken. */
	bus_status (*poll)(bus_adapter *adapter, const bus_poll_limit *limit,
			   bus_poll *ret_poll, bus_error *err);

	/* Where a partition begins, ends, or was at a time. Blocks up to timeout_ms. RETRY:
	 * not reachable. FATAL: no such topic or partition. */
	bus_status (*offset)(bus_adapter *adapter, const char *topic, int32_t partition,
			     bus_offset_at at, int64_t time_ms, int timeout_ms,
			     int64_t *ret_offset, bus_error *err);

	/* Cuts off what lies before new_start; nothing if the partition begins later already.
	 * Idempotent. Blocks up to timeout_ms. RETRY: not reachable. FATAL: no such topic or
	 * partition, past its end, refused. */
	bus_status (*trim)(bus_adapter *adapter, const char *topic, int32_t partition,
			   int64_t new_start, int timeout_ms, bus_error *err);

	/* A sealed topic takes no event, of nobody: publish answers FAILED and RETRY. When
	 * the call returns nothing more arrives, and what is last in each partition is a
	 * record that can be read: fillers (core/filler.h) may be appended until then.
	 * Reading goes on. Idempotent; lasts until it is opened again, also over a restart.
	 * Blocks up to timeout_ms. RETRY: not reachable, or a transaction of somebody is
	 * still open; then it may be sealed or not, open it or call again. FATAL: no such
	 * topic, refused. */
	bus_status (*seal)(bus_adapter *adapter, const char *topic, bool sealed,
			   int timeout_ms, bus_error *err);

	/* Tells the broker where the group is, for the ecosystem's lag tools. Best effort,
	 * does not block, never an error; without a group it does nothing. */
	void (*note)(bus_adapter *adapter, const bus_position *positions, size_t count);
} bus_adapter_ops;

struct bus_adapter {
	const bus_adapter_ops *ops;
};

/**
 * bus_adapter_open - the adapter of a URL
 *
 * @ret_adapter: new; end with bus_adapter_close()
 *
 * Errors: BUS_E_FATAL no adapter has this scheme (the known ones are listed), or its open
 * refused. Looks the scheme up in the table of registry.c.
 */
BUS_MUST_CHECK bus_status bus_adapter_open(const bus_adapter_options *options,
					   bus_adapter **ret_adapter, bus_error *err);

/* One inline per operation, so that callers read bus_adapter_poll(a, ...) and a debugger
 * stops in one place; contracts are those of the members above. */
#define BUS_ADAPTER_CALL(name, ...) adapter->ops->name(adapter __VA_OPT__(, ) __VA_ARGS__)

static inline void
bus_adapter_close(bus_adapter *adapter)
{
	if (adapter != NULL) {
		adapter->ops->close(adapter);
	}
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_topic_ensure(bus_adapter *adapter, const bus_topic_spec *spec, int timeout_ms,
			 bus_topic_info *ret_info, bool *ret_made, bus_error *err)
{
	return BUS_ADAPTER_CALL(topic_ensure, spec, timeout_ms, ret_info, ret_made, err);
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_topic_list(bus_adapter *adapter, const char *prefix, int timeout_ms,
		       bus_arena *arena, bus_topic_info **ret_topics, size_t *ret_count,
		       bus_error *err)
{
	return BUS_ADAPTER_CALL(topic_list, prefix, timeout_ms, arena, ret_topics,
				ret_count, err);
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_partitions(bus_adapter *adapter, const char *topic, int timeout_ms,
		       int32_t *ret_count, bus_error *err)
{
	return BUS_ADAPTER_CALL(partitions, topic, timeout_ms, ret_count, err);
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_publish(bus_adapter *adapter, bus_publication *publications, size_t count,
		    int timeout_ms, bus_error *err)
{
	return BUS_ADAPTER_CALL(publish, publications, count, timeout_ms, err);
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_join(bus_adapter *adapter, const char *group, const char *topic,
		 bus_error *err)
{
	return BUS_ADAPTER_CALL(join, group, topic, err);
}

static inline void
bus_adapter_leave(bus_adapter *adapter)
{
	BUS_ADAPTER_CALL(leave);
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_start(bus_adapter *adapter, const bus_position *positions, size_t count,
		  bus_error *err)
{
	return BUS_ADAPTER_CALL(start, positions, count, err);
}

static inline void
bus_adapter_stop(bus_adapter *adapter)
{
	BUS_ADAPTER_CALL(stop);
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_poll(bus_adapter *adapter, const bus_poll_limit *limit, bus_poll *ret_poll,
		 bus_error *err)
{
	return BUS_ADAPTER_CALL(poll, limit, ret_poll, err);
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_offset(bus_adapter *adapter, const char *topic, int32_t partition,
		   bus_offset_at at, int64_t time_ms, int timeout_ms, int64_t *ret_offset,
		   bus_error *err)
{
	return BUS_ADAPTER_CALL(offset, topic, partition, at, time_ms, timeout_ms,
				ret_offset, err);
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_trim(bus_adapter *adapter, const char *topic, int32_t partition,
		 int64_t new_start, int timeout_ms, bus_error *err)
{
	return BUS_ADAPTER_CALL(trim, topic, partition, new_start, timeout_ms, err);
}

static inline BUS_MUST_CHECK bus_status
bus_adapter_seal(bus_adapter *adapter, const char *topic, bool sealed, int timeout_ms,
		 bus_error *err)
{
	return BUS_ADAPTER_CALL(seal, topic, sealed, timeout_ms, err);
}

static inline void
bus_adapter_note(bus_adapter *adapter, const bus_position *positions, size_t count)
{
	BUS_ADAPTER_CALL(note, positions, count);
}

#endif
