/*
 * regex.c - ECMA-262 regular expressions (Unicode mode) on PCRE2
 *
 * Where both write the same and mean another thing, the pattern is translated: . and \s
 * (other line ends and spaces), \v (one character), \u (surrogate pairs), property names.
 * What only PCRE2 has (\A, \Z, (?i), possessive quantifiers ...) is refused, so that a
 * schema means the same to every other implementation.
 */
#include "schemas/program.h"

#include <ctype.h>
#include <stdio.h>

#define NO_LINE_END "[^\\n\\r\\x{2028}\\x{2029}]"
#define SPACES                                                                             \
	"\\t\\n\\x0b\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}" \
	"\\x{205f}\\x{3000}\\x{feff}"
#define NO_SPACES                                                                        \
	"\\x00-\\x08\\x0e-\\x1f\\x21-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"        \
	"\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"   \
	"\\x{3001}-\\x{d7ff}\\x{e000}-\\x{fefe}\\x{ff00}-\\x{10ffff}"

/* Long names of general categories (PropertyValueAliases), which PCRE2 does not know. */
static const struct {
	const char *name, *category;
} categories[] = {
	{ "Cased_Letter", "L&" },
	{ "Close_Punctuation", "Pe" },
	{ "Combining_Mark", "M" },
	{ "Connector_Punctuation", "Pc" },
	{ "Control", "Cc" },
	{ "Currency_Symbol", "Sc" },
	{ "Dash_Punctuation", "Pd" },
	{ "Decimal_Number", "Nd" },
	{ "Enclosing_Mark", "Me" },
	{ "Final_Punctuation", "Pf" },
	{ "Format", "Cf" },
	{ "Initial_Punctuation", "Pi" },
	{ "LC", "L&" },
	{ "Letter", "L" },
	{ "Letter_Number", "Nl" },
	{ "Line_Separator", "Zl" },
	{ "Lowercase_Letter", "Ll" },
	{ "Mark", "M" },
	{ "Math_Symbol", "Sm" },
	{ "Modifier_Letter", "Lm" },
	{ "Modifier_Symbol", "Sk" },
	{ "Nonspacing_Mark", "Mn" },
	{ "Number", "N" },
	{ "Open_Punctuation", "Ps" },
	{ "Other", "C" },
	{ "Other_Letter", "Lo" },
	{ "Other_Number", "No" },
	{ "Other_Punctuation", "Po" },
	{ "Other_Symbol", "So" },
	{ "Paragraph_Separator", "Zp" },
	{ "Private_Use", "Co" },
	{ "Punctuation", "P" },
	{ "Separator", "Z" },
	{ "Space_Separator", "Zs" },
	{ "Spacing_Mark", "Mc" },
	{ "Surrogate", "Cs" },
	{ "Symbol", "S" },
	{ "Titlecase_Letter", "Lt" },
	{ "Unassigned", "Cn" },
	{ "Uppercase_Letter", "Lu" },
	{ "cntrl", "Cc" },
	{ "digit", "Nd" },
	{ "punct", "P" },
};

typedef struct translation {
	bus_str in;
	size_t at; /* next byte of in */
	bus_buf *out;
	bus_error *err;
} translation;

static bus_status
refuse(const translation *t, const char *what)
{
	return bus_error_set(t->err, BUS_E_REJECT, "schema", 0,
			     "the pattern %.*s has %s at byte %zu, which ECMA-262 does not",
			     BUS_STR_ARG(t->in), what, t->at);
}

static int
peek(const translation *t, size_t ahead)
{
	return t->at + ahead < t->in.len ? (unsigned char)t->in.data[t->at + ahead] : -1;
}

static bool
take(translation *t, const char *text)
{
	size_t len = strlen(text);
	if (t->in.len - t->at < len || memcmp(t->in.data + t->at, text, len) != 0) {
		return false;
	}
	t->at += len;
	return true;
}

/* Exactly `digits` hexadecimal digits; -1 and nothing taken if they are not there. */
static int32_t
take_hex(translation *t, size_t digits)
{
	int32_t value = 0;
	for (size_t i = 0; i < digits; i++) {
		int c = peek(t, i);
		if (c < 0 || !isxdigit(c)) {
			return -1;
		}
		value = value * 16 + (isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	t->at += digits;
	return value;
}

/* After \u: four digits, a pair of surrogates, or any number of digits in braces. */
static bus_status
translate_code_point(translation *t)
{
	int32_t code = -1;
	if (peek(t, 0) == '{') {
		size_t digits = 0;
		t->at++;
		while (peek(t, digits) >= 0 && isxdigit(peek(t, digits))) {
			digits++;
		}
		code = digits > 0 && digits <= 6 ? take_hex(t, digits) : -1;
		if (!take(t, "}")) {
			code = -1;
		}
	} else {
		code = take_hex(t, 4);
		size_t mark = t->at;
		if (code >= 0xd800 && code < 0xdc00 && take(t, "\\u")) {
			int32_t low = take_hex(t, 4);
			if (low >= 0xdc00 && low < 0xe000) {
				code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
			} else {
				t->at = mark;
			}
		}
	}
	if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
		return refuse(t, "a \\u that is no character");
	}
	bus_buf_printf(t->out, "\\x{%x}", (unsigned)code);
	return BUS_OK;
}

static bus_str
category_of(bus_str name)
{
	for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++) {
		if (bus_str_is(name, categories[i].name)) {
			return bus_str_from(categories[i].category);
		}
	}
	return name;
}

/* After \p or \P: {Name} or {Property=Name}. */
static bus_status
translate_property(translation *t, char letter)
{
	const char *open = t->in.data + t->at;
	const char *end = peek(t, 0) == '{' ? memchr(open, '}', t->in.len - t->at) : NULL;
	if (end == NULL) {
		return refuse(t, "a property without braces");
	}
	bus_str name = { open + 1, (size_t)(end - open) - 1 };
	const char *prefix = "";
	const char *equals = name.len > 0 ? memchr(name.data, '=', name.len) : NULL;
	if (equals != NULL) {
		bus_str property = { name.data, (size_t)(equals - name.data) };
		name = (bus_str){ equals + 1, name.len - property.len - 1 };
		if (bus_str_is(property, "Script") || bus_str_is(property, "sc")) {
			prefix = "sc:";
		} else if (bus_str_is(property, "Script_Extensions") ||
			   bus_str_is(property, "scx")) {
			prefix = "scx:";
		} else if (!bus_str_is(property, "General_Category") &&
			   !bus_str_is(property, "gc")) {
			return refuse(t, "an unknown property");
		}
	}
	bus_str category = category_of(name);
	bus_buf_printf(t->out, "\\%c{%s%.*s}", letter, prefix, BUS_STR_ARG(category));
	t->at += (size_t)(end - open) + 1;
	return BUS_OK;
}

/* The letters and digits that may follow a backslash, but for those handled before. */
static bool
is_escape(int c, bool in_class)
{
	if (c >= '1' && c <= '9') {
		return !in_class; /* a reference back */
	}
	return strchr(in_class ? "dDwWbfnrt" : "dDwWbBfnrtk", c) != NULL;
}

static bus_status
translate_escape(translation *t, bool in_class)
{
	int c = peek(t, 1);
	if (c < 0) {
		return refuse(t, "a backslash at its end");
	}
	t->at += 2;
	int32_t code;
	switch (c) {
	case 's':
		bus_buf_cstr(t->out, in_class ? SPACES : "[" SPACES "]");
		return BUS_OK;
	case 'S':
		bus_buf_cstr(t->out, in_class ? NO_SPACES : "[^" SPACES "]");
		return BUS_OK;
	case 'v':
		bus_buf_cstr(t->out, "\\x0b");
		return BUS_OK;
	case 'u':
		return translate_code_point(t);
	case 'p':
	case 'P':
		return translate_property(t, (char)c);
	case 'x':
		code = take_hex(t, 2);
		bus_buf_printf(t->out, "\\x{%x}", (unsigned)code);
		return code >= 0 ? BUS_OK : refuse(t, "a \\x without two digits");
	case 'c':
		c = peek(t, 0);
		t->at++;
		bus_buf_printf(t->out, "\\x{%x}", (unsigned)c & 0x1fu);
		return c >= 0 && isalpha(c) ? BUS_OK :
					      refuse(t, "a \\c without a letter");
	case '0':
		bus_buf_cstr(t->out, "\\x{0}");
		return peek(t, 0) < 0 || !isdigit(peek(t, 0)) ?
			       BUS_OK :
			       refuse(t, "an octal number");
	default:
		break;
	}
	if (isalnum(c) && !is_escape(c, in_class)) {
		return refuse(t, "an escape");
	}
	bus_buf_byte(t->out, '\\');
	bus_buf_byte(t->out, (uint8_t)c);
	return BUS_OK;
}

static bus_status
translate_class(translation *t)
{
	bus_status status = BUS_OK;
	t->at++;
	bus_buf_byte(t->out, '[');
	if (take(t, "^")) {
		bus_buf_byte(t->out, '^');
	}
	while (status == BUS_OK && peek(t, 0) != ']') {
		int c = peek(t, 0);
		if (c < 0) {
			return refuse(t, "a class without its end");
		}
		if (c == '\\') {
			status = translate_escape(t, true);
			continue;
		}
		if (c == '[') { /* PCRE2 would look for [:alpha:] */
			bus_buf_byte(t->out, '\\');
		}
		bus_buf_byte(t->out, (uint8_t)c);
		t->at++;
	}
	bus_buf_byte(t->out, ']');
	t->at++;
	return status;
}

static bus_status
translate_group(translation *t)
{
	static const char *const kinds[] = { "(?:", "(?=", "(?!", "(?<=", "(?<!" };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (take(t, kinds[i])) {
			bus_buf_cstr(t->out, kinds[i]);
			return BUS_OK;
		}
	}
	int c = peek(t, 1);
	if (c == '*' || (c == '?' && peek(t, 2) != '<')) {
		return refuse(t, "a group");
	}
	bus_buf_byte(t->out, '(');
	t->at++;
	return BUS_OK;
}

/* After * + ? or {n,m} only ? may follow: a second + would be possessive in PCRE2. */
static bus_status
translate_quantifier(translation *t)
{
	size_t len = 1;
	if (peek(t, 0) == '{') {
		while (peek(t, len) >= 0 &&
		       (isdigit(peek(t, len)) || peek(t, len) == ',')) {
			len++;
		}
		if (len == 1 || peek(t, 1) == ',' || peek(t, len) != '}') {
			return refuse(t, "a brace that is no quantifier");
		}
		len++;
	}
	bus_buf_append(t->out, t->in.data + t->at, len);
	t->at += len;
	if (take(t, "?")) {
		bus_buf_byte(t->out, '?');
	}
	int c = peek(t, 0);
	return c == '+' || c == '*' || c == '?' ? refuse(t, "nothing to repeat") : BUS_OK;
}

bus_status
busp_regex_translate(bus_str pattern, bus_buf *buf, bus_error *err)
{
	translation t = { pattern, 0, buf, err };
	bus_status status = BUS_OK;
	while (status == BUS_OK && t.at < pattern.len) {
		int c = peek(&t, 0);
		switch (c) {
		case '\\':
			status = translate_escape(&t, false);
			break;
		case '[':
			status = translate_class(&t);
			break;
		case '(':
			status = translate_group(&t);
			break;
		case '*':
		case '+':
		case '?':
		case '{':
			status = translate_quantifier(&t);
			break;
		case '.':
			bus_buf_cstr(buf, NO_LINE_END);
			t.at++;
			break;
		default:
			bus_buf_byte(buf, (uint8_t)c);
			t.at++;
			break;
		}
	}
	return status;
}

/* Returns new, or NULL. */
static pcre2_code *
compile(bus_str text, pcre2_compile_context *context, bus_error *err)
{
	BUS_BUF_AUTO translated = { 0 };
	if (busp_regex_translate(text, &translated, err) != BUS_OK) {
		return NULL;
	}
	bus_str in = bus_buf_view(&translated);
	int code = 0;
	PCRE2_SIZE offset = 0;
	pcre2_code *compiled =
		pcre2_compile((PCRE2_SPTR)in.data, in.len,
			      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS |
				      PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C,
			      &code, &offset, context);
	if (compiled == NULL) {
		char why[160] = "";
		pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
		(void)bus_error_set(err, BUS_E_REJECT, "schema", code,
				    "the pattern %.*s: %s", BUS_STR_ARG(text), why);
	}
	return compiled;
}

bool
busp_regex_valid(bus_str text)
{
	pcre2_code *compiled = compile(text, NULL, NULL);
	pcre2_code_free(compiled);
	return compiled != NULL;
}

bus_status
busp_regex_compile(bus_schema_set *set, bus_str text, busp_pattern **ret_pattern,
		   bus_error *err)
{
	pcre2_code *compiled = compile(text, set->compile_context, err);
	if (compiled == NULL) {
		return BUS_E_REJECT;
	}
	/* Without machine code (no executable memory allowed) it is slower, not wrong. */
	(void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
	busp_pattern *pattern = bus_arena_alloc(set->arena, sizeof(*pattern));
	pattern->code = compiled;
	pattern->text = bus_arena_str(set->arena, text).data;
	pattern->next = set->patterns;
	set->patterns = pattern;
	*ret_pattern = pattern;
	return BUS_OK;
}

static int
match(const bus_schema_set *set, const busp_pattern *pattern, bus_str text,
      uint32_t options, pcre2_match_data *data)
{
	return pcre2_match(pattern->code, (PCRE2_SPTR)text.data, text.len, 0, options,
			   data, set->match_context);
}

int
busp_regex_match(bus_schema_set *set, const busp_pattern *pattern, bus_str text)
{
	pcre2_match_data *data = __atomic_exchange_n(&set->spare, NULL, __ATOMIC_ACQ_REL);
	if (data == NULL) {
		data = pcre2_match_data_create(1, NULL);
		if (data == NULL) {
			return -1;
		}
	}
	/* jansson has checked that its strings are UTF-8. */
	int count = match(set, pattern, text, PCRE2_NO_UTF_CHECK, data);
	if (count == PCRE2_ERROR_JIT_STACKLIMIT) {
		count = match(set, pattern, text, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data);
	}
	pcre2_match_data_free(__atomic_exchange_n(&set->spare, data, __ATOMIC_ACQ_REL));
	return count >= 0 ? 1 : count == PCRE2_ERROR_NOMATCH ? 0 : -1;
}
