/* format.c - what BUS_SCHEMA_FORMAT asserts; the formats that need no more than a scan */
#include "schemas/program.h"
#include "schemas/scan.h"

/* RFC 9562, section 4: 8-4-4-4-12 hexadecimal digits. */
static bool
is_uuid(bus_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text.data[i] != '-' :
			   !busp_is_hex((unsigned char)text.data[i])) {
			return false;
		}
	}
	return text.len == 36;
}

static bool
scan_json_pointer(busp_scan *scan)
{
	if (!busp_scan_done(scan) && busp_scan_peek(scan) != '/') {
		return false;
	}
	while (!busp_scan_done(scan)) {
		if (*scan->at++ == '~' && !busp_scan_char(scan, '0') &&
		    !busp_scan_char(scan, '1')) {
			return false;
		}
	}
	return true;
}

static bool
is_json_pointer(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	return scan_json_pointer(&scan);
}

static bool
is_relative_json_pointer(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	unsigned up;
	bool zero = busp_scan_peek(&scan) == '0';
	size_t digits = busp_scan_digits(&scan, SIZE_MAX, &up);
	if (digits == 0 || (zero && digits > 1)) {
		return false;
	}
	if (busp_scan_char(&scan, '#')) {
		return busp_scan_done(&scan);
	}
	return scan_json_pointer(&scan);
}

static const busp_format formats[] = {
	{ "date-time", busp_is_date_time },
	{ "date", busp_is_date },
	{ "time", busp_is_time },
	{ "duration", busp_is_duration },
	{ "email", busp_is_email },
	{ "idn-email", busp_is_idn_email },
	{ "hostname", busp_is_hostname },
	{ "ipv4", busp_is_ipv4 },
	{ "ipv6", busp_is_ipv6 },
	{ "uri", busp_is_uri },
	{ "uri-reference", busp_is_uri_reference },
	{ "iri", busp_is_iri },
	{ "iri-reference", busp_is_iri_reference },
	{ "uri-template", busp_is_uri_template },
	{ "uuid", is_uuid },
	{ "json-pointer", is_json_pointer },
	{ "relative-json-pointer", is_relative_json_pointer },
	{ "regex", busp_regex_valid },
};

const busp_format *
busp_format_find(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(formats[i].name, name) == 0) {
			return &formats[i];
		}
	}
	return NULL;
}
