/* format.c - what BUS_SCHEMA_FORMAT asserts */
#include "schemas/program.h"

#include <ctype.h>

/* RFC 1123, 2.1: labels of letters, digits and inner hyphens. */
static bool
is_hostname(bus_str text)
{
	size_t label = 0;
	if (text.len == 0 || text.len > 253) {
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		bool last = i + 1 == text.len || text.data[i + 1] == '.';
		if (c == '.') {
			if (label == 0 || i + 1 == text.len) {
				return false;
			}
			label = 0;
		} else if ((!isalnum(c) && (c != '-' || label == 0 || last)) ||
			   ++label > 63) {
			return false;
		}
	}
	return true;
}

static const busp_format formats[] = {
	{ "hostname", is_hostname },
	{ NULL, NULL },
};

const busp_format *
busp_format_find(const char *name)
{
	for (const busp_format *format = formats; format->name != NULL; format++) {
		if (strcmp(format->name, name) == 0) {
			return format;
		}
	}
	return NULL;
}
