/* eval_values.c - keywords that look at one value */
#include "schemas/program.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *
type_names(unsigned mask, char *text, size_t size)
{
	static const struct {
		unsigned bits;
		const char *name;
	} names[] = {
		{ BUSP_TYPE_OBJECT, "an object" },
		{ BUSP_TYPE_ARRAY, "an array" },
		{ BUSP_TYPE_STRING, "a string" },
		{ BUSP_TYPE_NUMBER, "a number" },
		{ BUSP_TYPE_INTEGER, "an integer" },
		{ BUSP_TYPE_BOOLEAN, "true or false" },
		{ BUSP_TYPE_NULL, "null" },
	};
	size_t len = 0;
	text[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && len < size; i++) {
		if ((mask & names[i].bits) == names[i].bits) {
			len += (size_t)snprintf(text + len, size - len, "%s%s",
						len > 0 ? " or " : "", names[i].name);
			mask &= ~names[i].bits;
		}
	}
	return text;
}

BUSP_RUN(busp_run_type)
{
	unsigned mask = op->u.type_mask;
	if ((mask & 1u << json_typeof(value)) != 0 ||
	    ((mask & BUSP_TYPE_WHOLE_REAL) != 0 && json_is_real(value) &&
	     busp_number_whole(json_real_value(value)))) {
		return true;
	}
	if (run->report == NULL) {
		return false;
	}
	char text[96];
	return busp_fail(run, at, op->keyword, "must be %s",
			 type_names(mask, text, sizeof(text)));
}

/* A value for a message: short, or what fits. */
static const char *
describe(const json_t *value, char *text, size_t size)
{
	char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	snprintf(text, size, "%s", dump != NULL ? dump : "another value");
	free(dump);
	return text;
}

BUSP_RUN(busp_run_enum)
{
	for (size_t i = 0; i < json_array_size(op->u.json); i++) {
		if (busp_equal(json_array_get(op->u.json, i), value)) {
			return true;
		}
	}
	if (run->report == NULL) {
		return false;
	}
	char text[120];
	return busp_fail(run, at, op->keyword, "must be one of %s",
			 describe(op->u.json, text, sizeof(text)));
}

BUSP_RUN(busp_run_const)
{
	if (busp_equal(op->u.json, value)) {
		return true;
	}
	if (run->report == NULL) {
		return false;
	}
	char text[120];
	return busp_fail(run, at, op->keyword, "must be %s",
			 describe(op->u.json, text, sizeof(text)));
}

/*
 * Integers exactly. Reals as decimals are meant: the quotient may be off an integer by two
 * units in its last place (0.0075 is a multiple of 0.0001). If it is too large for a
 * double, the remainder decides, which is exact in binary.
 */
static bool
is_multiple(const json_t *value, const json_t *divisor)
{
	if (json_is_integer(value) && json_is_integer(divisor)) {
		return json_integer_value(value) % json_integer_value(divisor) == 0;
	}
	double number = json_number_value(value), by = json_number_value(divisor);
	double quotient = number / by;
	if (!isfinite(quotient)) {
		return fmod(number, by) == 0;
	}
	return fabs(quotient - round(quotient)) <= 0x1p-51 * fabs(quotient);
}

static bool
fail_number(busp_run *run, const busp_op *op, const busp_step *at, const char *what)
{
	if (run->report == NULL) {
		return false;
	}
	char text[64];
	return busp_fail(run, at, op->keyword, "must be %s %s", what,
			 describe(op->u.json, text, sizeof(text)));
}

BUSP_RUN(busp_run_multiple_of)
{
	return is_multiple(value, op->u.json) ||
	       fail_number(run, op, at, "a multiple of");
}

BUSP_RUN(busp_run_maximum)
{
	return busp_number_compare(value, op->u.json) <= 0 ||
	       fail_number(run, op, at, "<=");
}

BUSP_RUN(busp_run_exclusive_maximum)
{
	return busp_number_compare(value, op->u.json) < 0 ||
	       fail_number(run, op, at, "<");
}

BUSP_RUN(busp_run_minimum)
{
	return busp_number_compare(value, op->u.json) >= 0 ||
	       fail_number(run, op, at, ">=");
}

BUSP_RUN(busp_run_exclusive_minimum)
{
	return busp_number_compare(value, op->u.json) > 0 ||
	       fail_number(run, op, at, ">");
}

static bus_str
string_view(const json_t *value)
{
	return (bus_str){ json_string_value(value), json_string_length(value) };
}

/* A code point has 1 to 4 bytes: most strings need no counting. */
BUSP_RUN(busp_run_max_length)
{
	bus_str text = string_view(value);
	return text.len <= op->u.size || busp_code_points(text) <= op->u.size ||
	       busp_fail(run, at, op->keyword, "must have at most %zu characters",
			 op->u.size);
}

BUSP_RUN(busp_run_min_length)
{
	bus_str text = string_view(value);
	bool enough = text.len >= op->u.size && (text.len / 4 >= op->u.size ||
						 busp_code_points(text) >= op->u.size);
	return enough || busp_fail(run, at, op->keyword,
				   "must have at least %zu characters", op->u.size);
}

BUSP_RUN(busp_run_pattern)
{
	int matched = busp_regex_match(run->set, op->u.pattern, string_view(value));
	if (matched < 0) {
		return busp_fail(run, at, op->keyword, "takes too many steps to match %s",
				 op->u.pattern->text);
	}
	return matched > 0 ||
	       busp_fail(run, at, op->keyword, "must match %s", op->u.pattern->text);
}

BUSP_RUN(busp_run_format)
{
	return op->u.format->check(string_view(value)) ||
	       busp_fail(run, at, op->keyword, "must be of format %s", op->u.format->name);
}
