/* uri.c - URI references: split, resolve (RFC 3986) and unescape */
#include "schemas/program.h"

#include <ctype.h>

static bool
is_scheme(bus_str text)
{
	if (text.len == 0 || !isalpha((unsigned char)text.data[0])) {
		return false;
	}
	for (size_t i = 1; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (!isalnum(c) && c != '+' && c != '-' && c != '.') {
			return false;
		}
	}
	return true;
}

/* Cuts text at the first `stop`; what follows it is the rest, absent if there is none. */
static bus_str
cut(bus_str *text, char stop)
{
	const char *at = text->len > 0 ? memchr(text->data, stop, text->len) : NULL;
	if (at == NULL) {
		return BUS_STR_NULL;
	}
	size_t head = (size_t)(at - text->data);
	bus_str rest = { at + 1, text->len - head - 1 };
	text->len = head;
	return rest;
}

busp_uri
busp_uri_split(bus_str text)
{
	busp_uri uri = { 0 };
	uri.fragment = cut(&text, '#');
	uri.query = cut(&text, '?');
	const char *colon = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
	if (colon != NULL) {
		bus_str head = { text.data, (size_t)(colon - text.data) };
		if (is_scheme(head)) {
			uri.scheme = head;
			text = (bus_str){ colon + 1, text.len - head.len - 1 };
		}
	}
	if (text.len >= 2 && text.data[0] == '/' && text.data[1] == '/') {
		text = (bus_str){ text.data + 2, text.len - 2 };
		const char *slash =
			text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
		size_t len = slash != NULL ? (size_t)(slash - text.data) : text.len;
		uri.authority = (bus_str){ text.data, len };
		text = (bus_str){ text.data + len, text.len - len };
	}
	uri.path = text;
	return uri;
}

/* Whether path at i begins with prefix. */
static bool
path_at(bus_str path, size_t i, const char *prefix)
{
	size_t len = strlen(prefix);
	return path.len - i >= len && memcmp(path.data + i, prefix, len) == 0;
}

/* RFC 3986, 5.2.4; what was in buf before `start` is not path. */
static void
append_without_dots(bus_buf *buf, bus_str path)
{
	size_t start = buf->len;
	size_t i = 0;
	while (i < path.len) {
		size_t left = path.len - i;
		if (path_at(path, i, "../")) {
			i += 3;
		} else if (path_at(path, i, "./")) {
			i += 2;
		} else if (path_at(path, i, "/./") ||
			   (left == 2 && path_at(path, i, "/."))) {
			i += 2;
			if (i == path.len) {
				bus_buf_byte(buf, '/');
			}
		} else if (path_at(path, i, "/../") ||
			   (left == 3 && path_at(path, i, "/.."))) {
			i += 3;
			while (buf->len > start && buf->data[--buf->len] != '/') {
			}
			if (i == path.len) {
				bus_buf_byte(buf, '/');
			}
		} else if ((left == 1 && path.data[i] == '.') ||
			   (left == 2 && path_at(path, i, ".."))) {
			break;
		} else {
			do {
				bus_buf_byte(buf, (uint8_t)path.data[i++]);
			} while (i < path.len && path.data[i] != '/');
		}
	}
}

/* RFC 3986, 5.2.3: the base's path up to its last slash, then the reference's. */
static void
merge(const busp_uri *base, bus_str path, bus_buf *merged)
{
	if (base->authority.data != NULL && base->path.len == 0) {
		bus_buf_byte(merged, '/');
	} else {
		const char *slash = base->path.len > 0 ? memrchr(base->path.data, '/',
								 base->path.len) :
							 NULL;
		if (slash != NULL) {
			bus_buf_append(merged, base->path.data,
				       (size_t)(slash - base->path.data) + 1);
		}
	}
	bus_buf_str(merged, path);
}

static void
append_part(bus_buf *buf, const char *before, bus_str part, const char *after)
{
	if (part.data != NULL) {
		bus_buf_cstr(buf, before);
		bus_buf_str(buf, part);
		bus_buf_cstr(buf, after);
	}
}

void
busp_uri_resolve(bus_str base_text, bus_str reference, bus_buf *buf)
{
	busp_uri base = busp_uri_split(base_text);
	busp_uri ref = busp_uri_split(reference);
	BUS_BUF_AUTO path = { 0 };

	bus_buf_clear(buf);
	append_part(buf, "", ref.scheme.data != NULL ? ref.scheme : base.scheme, ":");
	if (ref.scheme.data != NULL || ref.authority.data != NULL) {
		append_part(buf, "//", ref.authority, "");
		append_without_dots(buf, ref.path);
		append_part(buf, "?", ref.query, "");
		return;
	}
	append_part(buf, "//", base.authority, "");
	if (ref.path.len == 0) {
		bus_buf_str(buf, base.path);
		append_part(buf, "?", ref.query.data != NULL ? ref.query : base.query, "");
		return;
	}
	if (ref.path.data[0] == '/') {
		bus_buf_str(&path, ref.path);
	} else {
		merge(&base, ref.path, &path);
	}
	append_without_dots(buf, bus_buf_view(&path));
	append_part(buf, "?", ref.query, "");
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
busp_uri_unescape(bus_str text, bus_buf *buf)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] != '%') {
			bus_buf_byte(buf, (uint8_t)text.data[i]);
			continue;
		}
		int high = i + 2 < text.len ? hex_digit(text.data[i + 1]) : -1;
		int low = i + 2 < text.len ? hex_digit(text.data[i + 2]) : -1;
		if (high < 0 || low < 0) {
			return false;
		}
		bus_buf_byte(buf, (uint8_t)(high * 16 + low));
		i += 2;
	}
	return true;
}
