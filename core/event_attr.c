/*
 * event_attr.c - the attributes of an event and the rule of each
 *
 * Sources: CloudEvents 1.0.2 "Type System" (no control characters U+0000-U+001F and
 * U+007F-U+009F, no noncharacters, no lone surrogates), "Context Attributes"; RFC 3986 for
 * the characters of URIs; RFC 2046 for media types.
 */
#include "core/event_attr.h"

#include "core/text.h"

typedef enum busp_rule {
	BUSP_RULE_TEXT,
	BUSP_RULE_VERSION,
	BUSP_RULE_URI_REFERENCE,
	BUSP_RULE_URI,
	BUSP_RULE_MEDIA_TYPE,
	BUSP_RULE_TIME,
	BUSP_RULE_TENANT,
} busp_rule;

#define BUSP_NO_OFFSET SIZE_MAX

/* Limits: id, source and type stand in the ledger's columns and in every log line;
 * what is longer is no name. */
static const struct {
	const char *name;
	const char *header; /* in binary mode */
	size_t offset;
	size_t bytes_max;
	busp_rule rule;
	const char *too_long;
} busp_attrs[] = {
#define X(symbol, member, limit, rule)                                                   \
	[BUSP_ATTR_##                                                                    \
		symbol] = { #member, "ce_" #member, offsetof(bus_event, member),         \
			    limit,   rule,          "is longer than " #limit " bytes" }
	[BUSP_ATTR_SPECVERSION] = { "specversion", "ce_specversion", BUSP_NO_OFFSET, 256,
				    BUSP_RULE_VERSION, "is not 1.0" },
	X(ID, id, 256, BUSP_RULE_TEXT),
	X(SOURCE, source, 1024, BUSP_RULE_URI_REFERENCE),
	X(TYPE, type, 256, BUSP_RULE_TEXT),
	X(SUBJECT, subject, 256, BUSP_RULE_TEXT),
	X(DATACONTENTTYPE, datacontenttype, 4096, BUSP_RULE_MEDIA_TYPE),
	X(DATASCHEMA, dataschema, 4096, BUSP_RULE_URI),
	X(TIME, time, 4096, BUSP_RULE_TIME),
	X(TENANT, tenant, 4096, BUSP_RULE_TENANT),
	X(ACTOR, actor, 4096, BUSP_RULE_TEXT),
	X(CORRELATIONID, correlationid, 4096, BUSP_RULE_TEXT),
	X(CAUSATIONID, causationid, 4096, BUSP_RULE_TEXT),
	X(PARTITIONKEY, partitionkey, 4096, BUSP_RULE_TEXT),
	X(SEQUENCE, sequence, 4096, BUSP_RULE_TEXT),
	X(TRACEPARENT, traceparent, 4096, BUSP_RULE_TEXT),
	X(SAGAID, sagaid, 256, BUSP_RULE_TEXT),
	X(SAGASTEP, sagastep, 256, BUSP_RULE_TEXT),
#undef X
	[BUSP_ATTR_COUNT] = { "extension", NULL, BUSP_NO_OFFSET, 4096, BUSP_RULE_TEXT,
			      "is longer than 4096 bytes" },
};

const char *
busp_attr_name(busp_attr attr)
{
	return busp_attrs[attr].name;
}

const char *
busp_attr_header(busp_attr attr)
{
	return attr == BUSP_ATTR_DATACONTENTTYPE ? "content-type" :
						   busp_attrs[attr].header;
}

bus_str *
busp_attr_of(bus_event *event, busp_attr attr)
{
	size_t offset = busp_attrs[attr].offset;
	return offset == BUSP_NO_OFFSET ? NULL : (bus_str *)((char *)event + offset);
}

/* Length and second letter tell all our names apart: one comparison is enough. */
static busp_attr
busp_attr_guess(size_t len, char second)
{
#define AT(length, letter) ((length) << 8 | (unsigned char)(letter))
	switch (AT(len, second)) {
	case AT(2, 'd'):
		return BUSP_ATTR_ID;
	case AT(4, 'y'):
		return BUSP_ATTR_TYPE;
	case AT(4, 'i'):
		return BUSP_ATTR_TIME;
	case AT(5, 'c'):
		return BUSP_ATTR_ACTOR;
	case AT(6, 'a'):
		return BUSP_ATTR_SAGAID;
	case AT(6, 'o'):
		return BUSP_ATTR_SOURCE;
	case AT(6, 'e'):
		return BUSP_ATTR_TENANT;
	case AT(7, 'u'):
		return BUSP_ATTR_SUBJECT;
	case AT(8, 'a'):
		return BUSP_ATTR_SAGASTEP;
	case AT(8, 'e'):
		return BUSP_ATTR_SEQUENCE;
	case AT(10, 'a'):
		return BUSP_ATTR_DATASCHEMA;
	case AT(11, 'p'):
		return BUSP_ATTR_SPECVERSION;
	case AT(11, 'a'):
		return BUSP_ATTR_CAUSATIONID;
	case AT(11, 'r'):
		return BUSP_ATTR_TRACEPARENT;
	case AT(12, 'a'):
		return BUSP_ATTR_PARTITIONKEY;
	case AT(13, 'o'):
		return BUSP_ATTR_CORRELATIONID;
	case AT(15, 'a'):
		return BUSP_ATTR_DATACONTENTTYPE;
	default:
		return BUSP_ATTR_COUNT;
	}
#undef AT
}

busp_attr
busp_attr_find(bus_str name)
{
	if (name.len < 2 || name.len > 15) {
		return BUSP_ATTR_COUNT;
	}
	busp_attr attr = busp_attr_guess(name.len, busp_lower(name.data[1]));
	if (attr == BUSP_ATTR_COUNT) {
		return attr;
	}
	bus_str known = { busp_attrs[attr].name, name.len };
	return memcmp(name.data, known.data, name.len) == 0 ||
			       busp_has_prefix_nocase(name, known) ?
		       attr :
		       BUSP_ATTR_COUNT;
}

bool
busp_attr_name_valid(bus_str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) {
			return false;
		}
	}
	return name.len > 0 && !bus_str_is(name, "data");
}

/* What is in a text: one OR per byte. */
#define BUSP_SEEN_CONTROL 1u
#define BUSP_SEEN_NO_URI 2u /* excluded by RFC 3986: space " < > \ ^ ` { | } */
#define BUSP_SEEN_HIGH 4u   /* not ASCII */

static unsigned
busp_text_seen(bus_str text)
{
	static const uint8_t classes[256] = {
		[0 ... 31] = BUSP_SEEN_CONTROL | BUSP_SEEN_NO_URI,
		[' '] = BUSP_SEEN_NO_URI,
		['"'] = BUSP_SEEN_NO_URI,
		['<'] = BUSP_SEEN_NO_URI,
		['>'] = BUSP_SEEN_NO_URI,
		['\\'] = BUSP_SEEN_NO_URI,
		['^'] = BUSP_SEEN_NO_URI,
		['`'] = BUSP_SEEN_NO_URI,
		['{' ... '}'] = BUSP_SEEN_NO_URI,
		[127] = BUSP_SEEN_CONTROL | BUSP_SEEN_NO_URI,
		[128 ... 255] = BUSP_SEEN_HIGH,
	};
	unsigned seen = 0;
	for (size_t i = 0; i < text.len; i++) {
		seen |= classes[(uint8_t)text.data[i]];
	}
	return seen;
}

static const char *
busp_high_problem(bus_str text)
{
	uint32_t code = 0;
	size_t len = 0;
	for (size_t at = 0; at < text.len; at += len) {
		len = busp_utf8_next(text, at, &code);
		if (len == 0) {
			return "is not valid UTF-8";
		}
		if (code >= 0x80 && code <= 0x9f) {
			return "holds a control character";
		}
		if ((code & 0xfffe) == 0xfffe || (code >= 0xfdd0 && code <= 0xfdef)) {
			return "holds a Unicode noncharacter";
		}
	}
	return NULL;
}

/* scheme ":" something (RFC 3986 section 4.3) */
static bool
busp_uri_absolute(bus_str uri)
{
	for (size_t i = 0; i < uri.len; i++) {
		char c = uri.data[i];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
			continue;
		}
		if (i == 0 || (c != ':' && c != '+' && c != '-' && c != '.' &&
			       !(c >= '0' && c <= '9'))) {
			return false;
		}
		if (c == ':') {
			return i + 1 < uri.len;
		}
	}
	return false;
}

/* RFC 2045 section 5.1: no space and none of these between the slashes */
static size_t
busp_token_len(bus_str text, size_t from)
{
	size_t at = from;
	while (at < text.len && text.data[at] > ' ' && text.data[at] < 127 &&
	       memchr("()<>@,;:\\\"/[]?=", text.data[at], 15) == NULL) {
		at++;
	}
	return at - from;
}

/* type "/" subtype, then nothing, white space or parameters; the subtype is returned. */
static bus_str
busp_media_subtype(bus_str media_type)
{
	size_t type = busp_token_len(media_type, 0);
	if (type == 0 || type >= media_type.len || media_type.data[type] != '/') {
		return BUS_STR_NULL;
	}
	size_t subtype = busp_token_len(media_type, type + 1);
	size_t at = type + 1 + subtype;
	while (at < media_type.len && media_type.data[at] == ' ') {
		at++;
	}
	if (subtype == 0 || (at < media_type.len && media_type.data[at] != ';')) {
		return BUS_STR_NULL;
	}
	return (bus_str){ media_type.data + type + 1, subtype };
}

bool
busp_media_is_json(bus_str media_type)
{
	if (media_type.data == NULL) {
		return true;
	}
	bus_str subtype = busp_media_subtype(media_type);
	if (subtype.len > 5) {
		bus_str tail = { subtype.data + subtype.len - 5, 5 };
		return busp_is_nocase(tail, BUS_STR("+json"));
	}
	return busp_is_nocase(subtype, BUS_STR("json"));
}

/* [a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])? */
static bool
busp_tenant_valid(bus_str tenant)
{
	for (size_t i = 0; i < tenant.len; i++) {
		char c = tenant.data[i];
		bool inside = i > 0 && i + 1 < tenant.len;
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    !(inside && (c == '.' || c == '_' || c == '-'))) {
			return false;
		}
	}
	return tenant.len >= 1 && tenant.len <= 63;
}

static const char *
busp_rule_problem(busp_rule rule, bus_str value, unsigned seen, int64_t *ret_time_us)
{
	switch (rule) {
	case BUSP_RULE_TEXT:
		return NULL;
	case BUSP_RULE_VERSION:
		return bus_str_is(value, "1.0") ? NULL : "is not 1.0";
	case BUSP_RULE_URI_REFERENCE:
		return (seen & BUSP_SEEN_NO_URI) == 0 ? NULL : "is not a URI-reference";
	case BUSP_RULE_URI:
		return (seen & BUSP_SEEN_NO_URI) == 0 && busp_uri_absolute(value) ?
			       NULL :
			       "is not an absolute URI";
	case BUSP_RULE_MEDIA_TYPE:
		return busp_media_subtype(value).data != NULL ? NULL :
								"is not a media type";
	case BUSP_RULE_TIME:
		return bus_time_parse(value, ret_time_us) ?
			       NULL :
			       "is not an RFC 3339 timestamp";
	case BUSP_RULE_TENANT:
		return busp_tenant_valid(value) ?
			       NULL :
			       "is not 1 to 63 of a-z 0-9 . _ - with a letter or digit at "
			       "both ends";
	}
	return NULL;
}

const char *
busp_attr_problem(busp_attr attr, bus_str value, int64_t *ret_time_us)
{
	if (value.len == 0 && attr != BUSP_ATTR_COUNT) {
		return "is empty";
	}
	if (value.len > busp_attrs[attr].bytes_max) {
		return busp_attrs[attr].too_long;
	}
	unsigned seen = busp_text_seen(value);
	if ((seen & BUSP_SEEN_CONTROL) != 0) {
		return "holds a control character";
	}
	const char *problem =
		(seen & BUSP_SEEN_HIGH) != 0 ? busp_high_problem(value) : NULL;
	return problem != NULL ?
		       problem :
		       busp_rule_problem(busp_attrs[attr].rule, value, seen, ret_time_us);
}

size_t
bus_record_bytes(const bus_record *record)
{
	size_t bytes = record->key.len + record->value.len;
	for (size_t i = 0; i < record->header_count; i++) {
		bytes += record->headers[i].name.len + record->headers[i].value.len;
	}
	return bytes;
}
