/*
 * event_attr.h - the attributes of an event and the rule of each (private to core)
 */
#ifndef BUS_CORE_EVENT_ATTR_H
#define BUS_CORE_EVENT_ATTR_H

#include "core/event.h"

/* Required ones first; those up to TIME are of CloudEvents itself and are strings in
 * JSON, the others are extensions and may be integer or boolean there. */
typedef enum busp_attr {
	BUSP_ATTR_SPECVERSION,
	BUSP_ATTR_ID,
	BUSP_ATTR_SOURCE,
	BUSP_ATTR_TYPE,
	BUSP_ATTR_SUBJECT,
	BUSP_ATTR_DATACONTENTTYPE,
	BUSP_ATTR_DATASCHEMA,
	BUSP_ATTR_TIME,
	BUSP_ATTR_TENANT,
	BUSP_ATTR_ACTOR,
	BUSP_ATTR_CORRELATIONID,
	BUSP_ATTR_CAUSATIONID,
	BUSP_ATTR_PARTITIONKEY,
	BUSP_ATTR_SEQUENCE,
	BUSP_ATTR_TRACEPARENT,
	BUSP_ATTR_SAGAID,
	BUSP_ATTR_SAGASTEP,
	BUSP_ATTR_COUNT, /* any other name: an extension we only carry */
} busp_attr;

#define BUSP_ATTR_REQUIRED (BUSP_ATTR_TYPE + 1)

/* Real events have under ten; a record of 256 KiB could hold thirty thousand, each to be
 * compared with all others. */
#define BUSP_EXTENSIONS_MAX 64

/* "tenant" */
const char *busp_attr_name(busp_attr attr);

/* "ce_tenant", "content-type": the header of binary mode; static. */
const char *busp_attr_header(busp_attr attr);

/* Of a name in any case; BUSP_ATTR_COUNT if it is none of ours. */
busp_attr busp_attr_find(bus_str name);

/* Where the event keeps it; NULL for specversion, which is always "1.0", and COUNT. */
bus_str *busp_attr_of(bus_event *event, busp_attr attr);

/**
 * busp_attr_problem - what is wrong with a value
 *
 * @attr: BUSP_ATTR_COUNT for other extensions
 * @ret_time_us: set for BUSP_ATTR_TIME only
 *
 * Returns the end of a sentence that begins with the attribute's name ("is empty"),
 * static; NULL when the value is right.
 */
const char *busp_attr_problem(busp_attr attr, bus_str value, int64_t *ret_time_us);

/* Lower-case letters and digits, at least one; "data" is no attribute's name. */
bool busp_attr_name_valid(bus_str name);

/* A media type of JSON: subtype json or ending in +json; absent counts as JSON. */
bool busp_media_is_json(bus_str media_type);

#endif
