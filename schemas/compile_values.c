/* compile_values.c - keywords that look at one value: types, numbers, strings, sizes */
#include "schemas/program.h"

static unsigned
type_bits(const char *name)
{
	static const struct {
		const char *name;
		unsigned bits;
	} types[] = {
		{ "object", BUSP_TYPE_OBJECT },   { "array", BUSP_TYPE_ARRAY },
		{ "string", BUSP_TYPE_STRING },   { "number", BUSP_TYPE_NUMBER },
		{ "integer", BUSP_TYPE_INTEGER }, { "boolean", BUSP_TYPE_BOOLEAN },
		{ "null", BUSP_TYPE_NULL },
	};
	for (size_t i = 0; name != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].name, name) == 0) {
			return types[i].bits;
		}
	}
	return 0;
}

BUSP_COMPILE(busp_compile_type)
{
	unsigned mask = type_bits(json_string_value(value));
	bool valid = mask != 0;
	if (json_is_array(value)) {
		valid = json_array_size(value) > 0;
		for (size_t i = 0; i < json_array_size(value); i++) {
			unsigned bits =
				type_bits(json_string_value(json_array_get(value, i)));
			valid = valid && bits != 0;
			mask |= bits;
		}
	}
	if (!valid) {
		return busp_build_fail(build, keyword->name, "must name types of JSON");
	}
	busp_build_op(build, keyword, BUSP_RANK_TYPE)->u.type_mask = mask;
	return BUS_OK;
}

BUSP_COMPILE(busp_compile_enum)
{
	if (!json_is_array(value)) {
		return busp_build_fail(build, keyword->name, "must be a list");
	}
	busp_build_op(build, keyword, BUSP_RANK_VALUE)->u.json = value;
	return BUS_OK;
}

BUSP_COMPILE(busp_compile_const)
{
	busp_build_op(build, keyword, BUSP_RANK_VALUE)->u.json = value;
	return BUS_OK;
}

BUSP_COMPILE(busp_compile_number)
{
	if (!json_is_number(value)) {
		return busp_build_fail(build, keyword->name, "must be a number");
	}
	busp_build_op(build, keyword, BUSP_RANK_VALUE)->u.json = value;
	return BUS_OK;
}

BUSP_COMPILE(busp_compile_multiple_of)
{
	if (!json_is_number(value) || json_number_value(value) <= 0) {
		return busp_build_fail(build, keyword->name, "must be a number above 0");
	}
	busp_build_op(build, keyword, BUSP_RANK_VALUE)->u.json = value;
	return BUS_OK;
}

BUSP_COMPILE(busp_compile_size)
{
	size_t size;
	bus_status status = busp_build_size(build, keyword->name, value, &size);
	if (status == BUS_OK) {
		busp_build_op(build, keyword, BUSP_RANK_VALUE)->u.size = size;
	}
	return status;
}

BUSP_COMPILE(busp_compile_pattern)
{
	const busp_pattern *pattern;
	if (!json_is_string(value)) {
		return busp_build_fail(build, keyword->name, "must be a string");
	}
	bus_str text = { json_string_value(value), json_string_length(value) };
	bus_status status = busp_build_pattern(build, keyword->name, text, &pattern);
	if (status == BUS_OK) {
		busp_build_op(build, keyword, BUSP_RANK_VALUE)->u.pattern = pattern;
	}
	return status;
}

BUSP_COMPILE(busp_compile_format)
{
	if (!json_is_string(value)) {
		return busp_build_fail(build, keyword->name, "must be a string");
	}
	if ((build->set->flags & BUS_SCHEMA_FORMAT) == 0 &&
	    (build->vocabularies & BUSP_VOCAB_FORMAT_ASSERTION) == 0) {
		return BUS_OK;
	}
	const busp_format *format = busp_format_find(json_string_value(value));
	if (format != NULL) {
		busp_build_op(build, keyword, BUSP_RANK_VALUE)->u.format = format;
		return BUS_OK;
	}
	if ((build->set->flags & BUS_SCHEMA_ALLOW_UNKNOWN) != 0) {
		return BUS_OK;
	}
	return busp_build_fail(build, keyword->name,
			       "\"%s\" is not a format that is supported",
			       json_string_value(value));
}

BUSP_COMPILE(busp_compile_unique)
{
	if (!json_is_boolean(value)) {
		return busp_build_fail(build, keyword->name, "must be true or false");
	}
	if (json_is_true(value)) {
		busp_build_op(build, keyword, BUSP_RANK_CHILDREN);
	}
	return BUS_OK;
}
