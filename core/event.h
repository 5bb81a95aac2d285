/*
 * event.h - the CloudEvents 1.0 envelope, on Kafka
 *
 * Sources: CloudEvents 1.0.2 core, JSON event format, Kafka protocol binding; their
 * extensions partitioning, sequence, distributed tracing, correlation.
 *
 * DESIGN
 * An arriving record is key, headers and value, as bytes (bus_record). bus_event_parse()
 * makes a bus_event of it: views into the record or into the batch arena. Nothing is
 * copied that can be pointed at, nothing is dropped: what the envelope does not know by
 * name is kept in extensions, and the received bytes stay the truth for every hash.
 * bus_event_write() is the way back: a record in binary mode (ours) or structured mode.
 */
#ifndef BUS_CORE_EVENT_H
#define BUS_CORE_EVENT_H

#include <jansson.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/digest.h"
#include "core/status.h"
#include "core/str.h"

typedef struct bus_header {
	bus_str name;
	bus_str value; /* absent: a header without a value */
} bus_header;

/* What lies in a log, or is about to: borrowed bytes. */
typedef struct bus_record {
	bus_str key;   /* absent: null key */
	bus_str value; /* absent: tombstone */
	const bus_header *headers;
	size_t header_count;
} bus_record;

/* Bytes of key, header names and values, and value: what BUS_EVENT_BYTES_MAX limits. */
size_t bus_record_bytes(const bus_record *record);

/* Extension attributes the platform gives a meaning. */
typedef struct bus_event {
	bus_str id;              /* required */
	bus_str source;          /* required, URI-reference */
	bus_str type;            /* required */
	bus_str subject;         /* optional */
	bus_str datacontenttype; /* optional */
	bus_str dataschema;      /* optional, URI */
	bus_str time;            /* optional, as received */
	int64_t time_us;         /* of time, BUS_TIME_NONE if absent */

	bus_str tenant;
	bus_str actor;
	bus_str correlationid;
	bus_str causationid;
	bus_str partitionkey;
	bus_str sequence;
	bus_str traceparent;
	bus_str sagaid;   /* the saga that caused it, or that it answers */
	bus_str sagastep; /* of that saga: "<step>/<do|undo>/<attempt>" */

	const bus_header *extensions; /* every other one, in the order received */
	size_t extension_count;

	/*
	 * The data. Binary mode: the record's value, untouched. Structured mode: data_json
	 * is set and data is absent, or data holds the decoded bytes of data_base64.
	 * Absent and NULL: an event without data.
	 */
	bus_str data;
	json_t *data_json; /* owned by the event, see bus_event_fini */
	bool structured;
} bus_event;

/* Why an event can never be applied; the cause column of dead_letter. */
typedef enum bus_cause {
	BUS_CAUSE_NONE = 0,
	BUS_CAUSE_TOO_LARGE,         /* over BUS_EVENT_BYTES_MAX */
	BUS_CAUSE_UNDECODABLE,       /* not a CloudEvent: envelope rules broken */
	BUS_CAUSE_INVALID_DATA,      /* data is not JSON within our limits */
	BUS_CAUSE_NO_TENANT,         /* no tenant attribute, so no home */
	BUS_CAUSE_UNKNOWN_TYPE,      /* no schema of that type on this topic */
	BUS_CAUSE_SCHEMA_INVALID,    /* data breaks its schema */
	BUS_CAUSE_IDENTITY_CONFLICT, /* known (source, id), other bytes */
	BUS_CAUSE_REJECTED,          /* its fold says it can never be applied */
	BUS_CAUSE_CONSTRAINT,        /* PostgreSQL refuses the row it leads to */
	BUS_CAUSE_TRANSIENT, /* it failed for a reason that may pass: its key is held */
	BUS_CAUSE_HELD, /* an earlier event of its key failed: it waits behind that */
	BUS_CAUSE_COUNT,
} bus_cause;

/* "too-large", "undecodable", ...; static. */
const char *bus_cause_name(bus_cause cause);
/* What it means and what to do, a sentence for docs and the CLI; static. */
const char *bus_cause_help(bus_cause cause);

/**
 * bus_event_parse - a record's envelope
 *
 * @record: borrowed; the event points into it
 * @arena: for decoded values
 * @ret_event: caller's storage; to be ended with bus_event_fini() also after failure
 * @ret_cause: set when the answer is BUS_E_REJECT. What could be read by then (id,
 *	source, type, tenant, subject) is in the event, for the dead-letter row.
 *
 * Header content-type beginning with application/cloudevents, in any case: structured
 * mode; application/cloudevents-batch is refused (Kafka has none); anything else:
 * binary mode. Header names ce_* are taken in any case.
 *
 * Errors:  BUS_E_REJECT with the rule that was broken.
 * Threads: any, one arena per thread.
 */
BUS_MUST_CHECK bus_status bus_event_parse(const bus_record *record, bus_arena *arena,
					  bus_event *ret_event, bus_cause *ret_cause,
					  bus_error *err);

/* Drops data_json; the rest is the record's and the arena's. */
void bus_event_fini(bus_event *event);

/**
 * bus_event_data - the data as JSON, parsed once and kept
 *
 * @ret_json: borrowed until bus_event_fini(); NULL for an event without data
 *
 * datacontenttype absent, application/json or anything ending in +json is JSON.
 * Errors:  BUS_E_REJECT no JSON content type, or not JSON within our limits.
 */
BUS_MUST_CHECK bus_status bus_event_data(bus_event *event, json_t **ret_json,
					 bus_error *err);

typedef enum bus_event_mode { BUS_MODE_BINARY, BUS_MODE_STRUCTURED } bus_event_mode;

/**
 * bus_event_write - a record of an event
 *
 * @event: id, source, type and tenant set; data as bytes (JSON for structured mode,
 *	unless datacontenttype says otherwise: then data_base64) or as data_json. An
 *	empty subject is none. Without time, time_us is written unless it is
 *	BUS_TIME_NONE or 0.
 * @arena: holds all of the record
 * @ret_record: key is tenant/subject (bus_event_key)
 *
 * Errors: BUS_E_REJECT a rule of the envelope is broken, naming the attribute.
 */
BUS_MUST_CHECK bus_status bus_event_write(const bus_event *event, bus_event_mode mode,
					  bus_arena *arena, bus_record *ret_record,
					  bus_error *err);

/* "tenant/subject": what decides the home partition. In the arena. */
bus_str bus_event_key(const bus_event *event, bus_arena *arena);

/**
 * bus_record_digest - what makes two arrivals the same event
 *
 * SHA-256 over the received bytes: headers content-type and ce_* sorted by lower-case
 * name, then the value, each length-prefixed. The key and headers of the way (a hop's
 * traceparent) do not count.
 */
bus_digest bus_record_digest(const bus_record *record, bus_hasher *hasher,
			     bus_arena *arena);

/* All headers packed into one byte string for storage, and back:
 * be32 count, then name and value, each be32 length (0xffffffff absent) and bytes. */
bus_str bus_headers_pack(const bus_header *headers, size_t count, bus_arena *arena);
BUS_MUST_CHECK bus_status bus_headers_unpack(bus_str packed, bus_arena *arena,
					     const bus_header **ret_headers,
					     size_t *ret_count, bus_error *err);

#endif
