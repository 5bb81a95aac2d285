/* format_net.c - formats of hosts, addresses, mail and URIs */
#include "schemas/program.h"
#include "schemas/scan.h"

/* RFC 1123, 2.1: labels of letters, digits and inner hyphens. */
bool
busp_is_hostname(bus_str text)
{
	size_t label = 0;
	if (text.len == 0 || text.len > 253) {
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		int c = (unsigned char)text.data[i];
		bool last = i + 1 == text.len || text.data[i + 1] == '.';
		if (c == '.') {
			if (label == 0 || i + 1 == text.len) {
				return false;
			}
			label = 0;
		} else if ((!busp_is_alnum(c) && (c != '-' || label == 0 || last)) ||
			   ++label > 63) {
			return false;
		}
	}
	return true;
}

/* An octet has no leading zero: some would read it as octal. */
static bool
scan_octet(busp_scan *scan)
{
	static const unsigned least[] = { 0, 0, 10, 100 };
	unsigned octet;
	size_t digits = busp_scan_digits(scan, 3, &octet);
	return digits > 0 && octet <= 255 && octet >= least[digits];
}

static bool
scan_ipv4(busp_scan *scan)
{
	bool valid = scan_octet(scan);
	for (int i = 0; i < 3 && valid; i++) {
		valid = busp_scan_char(scan, '.') && scan_octet(scan);
	}
	return valid;
}

bool
busp_is_ipv4(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	return scan_ipv4(&scan) && busp_scan_done(&scan);
}

/* RFC 4291, 2.2: eight groups; :: once for one or more that are zero; the last two may
 * be written as IPv4. */
bool
busp_is_ipv6(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	unsigned groups = 0;
	bool gap = false;
	if (busp_scan_peek(&scan) == ':') {
		scan.at++;
		if (busp_scan_peek(&scan) != ':') {
			return false;
		}
		scan.at++;
		gap = true;
	}
	while (!busp_scan_done(&scan)) {
		busp_scan quad = scan;
		if (scan_ipv4(&quad)) {
			groups += 2;
			scan = quad;
			break;
		}
		unsigned digits = 0;
		while (busp_is_hex(busp_scan_peek(&scan)) && digits < 5) {
			scan.at++;
			digits++;
		}
		if (digits == 0 || digits > 4) {
			return false;
		}
		groups++;
		if (busp_scan_done(&scan)) {
			break;
		}
		if (!busp_scan_char(&scan, ':') || busp_scan_done(&scan)) {
			return false;
		}
		if (busp_scan_char(&scan, ':')) {
			if (gap) {
				return false;
			}
			gap = true;
		}
	}
	return busp_scan_done(&scan) && (gap ? groups < 8 : groups == 8);
}

/* RFC 5321 atext; `wide` lets other than ASCII through (RFC 6531). */
static bool
is_atext(int c, bool wide)
{
	return busp_is_alnum(c) ||
	       (c > 0 && c < 128 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL) ||
	       (wide && c >= 128);
}

static bool
scan_local_part(busp_scan *scan, bool wide)
{
	if (busp_scan_char(scan, '"')) {
		while (!busp_scan_char(scan, '"')) {
			int c = busp_scan_peek(scan);
			if (c == '\\') {
				scan->at++;
				c = busp_scan_peek(scan);
			}
			if (c < 32 || c == 127 || (c > 127 && !wide)) {
				return false;
			}
			scan->at++;
		}
		return true;
	}
	do {
		const char *start = scan->at;
		while (is_atext(busp_scan_peek(scan), wide)) {
			scan->at++;
		}
		if (scan->at == start) {
			return false;
		}
	} while (busp_scan_char(scan, '.'));
	return true;
}

/* [127.0.0.1] or [IPv6:::1] */
static bool
is_address_literal(bus_str text)
{
	if (text.len < 2 || text.data[0] != '[' || text.data[text.len - 1] != ']') {
		return false;
	}
	bus_str inner = { text.data + 1, text.len - 2 };
	if (inner.len > 5 && memcmp(inner.data, "IPv6:", 5) == 0) {
		return busp_is_ipv6((bus_str){ inner.data + 5, inner.len - 5 });
	}
	return busp_is_ipv4(inner);
}

static bool
is_wide_domain(bus_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		int c = (unsigned char)text.data[i];
		if (c < 128 && !busp_is_alnum(c) && c != '-' && c != '.') {
			return false;
		}
	}
	return text.len > 0;
}

static bool
is_mailbox(bus_str text, bool wide)
{
	busp_scan scan = busp_scan_of(text);
	if (!scan_local_part(&scan, wide) || !busp_scan_char(&scan, '@')) {
		return false;
	}
	bus_str domain = { scan.at, (size_t)(scan.end - scan.at) };
	return is_address_literal(domain) || busp_is_hostname(domain) ||
	       (wide && is_wide_domain(domain));
}

bool
busp_is_email(bus_str text)
{
	return is_mailbox(text, false);
}

bool
busp_is_idn_email(bus_str text)
{
	return is_mailbox(text, true);
}

/* pchar of RFC 3986 and what else `more` allows; %XX must be whole. */
static bool
all_uri_chars(bus_str text, const char *more, bool wide)
{
	busp_scan scan = busp_scan_of(text);
	while (!busp_scan_done(&scan)) {
		int c = (unsigned char)*scan.at++;
		if (c == '%') {
			if (!busp_is_hex(busp_scan_peek(&scan))) {
				return false;
			}
			scan.at++;
			if (!busp_is_hex(busp_scan_peek(&scan))) {
				return false;
			}
			scan.at++;
		} else if (!busp_is_alnum(c) && !(wide && c >= 128) &&
			   (c == 0 || c >= 128 ||
			    (strchr("-._~!$&'()*+,;=", c) == NULL &&
			     strchr(more, c) == NULL))) {
			return false;
		}
	}
	return true;
}

/* RFC 3986, 3.2.2: what may be in brackets, an IPv6 address or "v1.anything". */
static bool
is_ip_literal(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	if (!busp_scan_char(&scan, 'v') && !busp_scan_char(&scan, 'V')) {
		return busp_is_ipv6(text);
	}
	const char *version = scan.at;
	while (busp_is_hex(busp_scan_peek(&scan))) {
		scan.at++;
	}
	bool valid = scan.at > version && busp_scan_char(&scan, '.');
	bus_str rest = { scan.at, (size_t)(scan.end - scan.at) };
	return valid && rest.len > 0 && memchr(rest.data, '%', rest.len) == NULL &&
	       all_uri_chars(rest, ":", false);
}

/* userinfo@host:port */
static bool
is_authority(bus_str text, bool wide)
{
	const char *at = text.len > 0 ? memchr(text.data, '@', text.len) : NULL;
	if (at != NULL) {
		bus_str user = { text.data, (size_t)(at - text.data) };
		if (!all_uri_chars(user, ":", wide)) {
			return false;
		}
		text = (bus_str){ at + 1, text.len - user.len - 1 };
	}
	if (text.len > 0 && text.data[0] == '[') {
		const char *close = memchr(text.data, ']', text.len);
		if (close == NULL ||
		    !is_ip_literal((bus_str){ text.data + 1,
					      (size_t)(close - text.data) - 1 })) {
			return false;
		}
		text = (bus_str){ close + 1, text.len - (size_t)(close - text.data) - 1 };
		if (text.len > 0 && text.data[0] != ':') {
			return false;
		}
	}
	const char *colon = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
	bus_str host = { text.data,
			 colon != NULL ? (size_t)(colon - text.data) : text.len };
	for (size_t i = host.len + 1; i < text.len; i++) {
		if (!busp_is_digit((unsigned char)text.data[i])) {
			return false;
		}
	}
	return all_uri_chars(host, "", wide);
}

static bool
is_reference(bus_str text, bool wide, bool absolute)
{
	busp_uri uri = busp_uri_split(text);
	if (absolute && uri.scheme.data == NULL) {
		return false;
	}
	/* What is no scheme must not look like one: a colon only after a slash. */
	if (uri.scheme.data == NULL && uri.authority.data == NULL && uri.path.len > 0) {
		const char *colon = memchr(uri.path.data, ':', uri.path.len);
		const char *slash = memchr(uri.path.data, '/', uri.path.len);
		if (colon != NULL && (slash == NULL || colon < slash)) {
			return false;
		}
	}
	return is_authority(uri.authority, wide) &&
	       all_uri_chars(uri.path, ":@/", wide) &&
	       all_uri_chars(uri.query, ":@/?", wide) &&
	       all_uri_chars(uri.fragment, ":@/?", wide);
}

bool
busp_is_uri(bus_str text)
{
	return is_reference(text, false, true);
}

bool
busp_is_uri_reference(bus_str text)
{
	return is_reference(text, false, false);
}

bool
busp_is_iri(bus_str text)
{
	return is_reference(text, true, true);
}

bool
busp_is_iri_reference(bus_str text)
{
	return is_reference(text, true, false);
}

/* RFC 6570, 2.3: names of variables have single dots inside. */
static bool
scan_variable(busp_scan *scan)
{
	do {
		const char *start = scan->at;
		int c;
		while (busp_is_alnum(c = busp_scan_peek(scan)) || c == '_' || c == '%') {
			scan->at++;
		}
		if (scan->at == start) {
			return false;
		}
	} while (busp_scan_char(scan, '.'));
	return true;
}

/* {name} {+name,other:3,list*}: RFC 6570, 2.2 and 2.4; after the opening brace. */
static bool
scan_expression(busp_scan *scan)
{
	int c = busp_scan_peek(scan);
	if (c > 0 && strchr("+#./;?&", c) != NULL) {
		scan->at++;
	}
	do {
		unsigned prefix;
		if (!scan_variable(scan)) {
			return false;
		}
		if (busp_scan_char(scan, ':')) {
			if (busp_scan_peek(scan) == '0' ||
			    busp_scan_digits(scan, 4, &prefix) == 0) {
				return false;
			}
		} else {
			(void)busp_scan_char(scan, '*');
		}
	} while (busp_scan_char(scan, ','));
	return busp_scan_char(scan, '}');
}

bool
busp_is_uri_template(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	while (!busp_scan_done(&scan)) {
		int c = (unsigned char)*scan.at++;
		if (c == '{') {
			if (!scan_expression(&scan)) {
				return false;
			}
		} else if (c <= ' ' || c == 127 || strchr("\"<>\\^`|}", c) != NULL) {
			return false;
		}
	}
	return true;
}
