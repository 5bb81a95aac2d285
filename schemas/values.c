/* values.c - JSON values as JSON Schema compares them */
#include "schemas/program.h"

#include <math.h>

bool
busp_number_whole(double value)
{
	return value == floor(value);
}

/* An integer beside a real: no rounding of the integer to 53 bits. */
static int
compare_mixed(json_int_t whole, double real)
{
	if (real >= 0x1p63) {
		return -1;
	}
	if (real < -0x1p63) {
		return 1;
	}
	double down = floor(real);
	json_int_t real_whole = (json_int_t)down;
	if (whole != real_whole) {
		return whole < real_whole ? -1 : 1;
	}
	return down < real ? -1 : 0;
}

int
busp_number_compare(const json_t *a, const json_t *b)
{
	if (json_is_integer(a)) {
		json_int_t x = json_integer_value(a);
		if (!json_is_integer(b)) {
			return compare_mixed(x, json_real_value(b));
		}
		json_int_t y = json_integer_value(b);
		return (x > y) - (x < y);
	}
	double x = json_real_value(a);
	if (json_is_integer(b)) {
		return -compare_mixed(json_integer_value(b), x);
	}
	double y = json_real_value(b);
	return (x > y) - (x < y);
}

static bool
strings_equal(const json_t *a, const json_t *b)
{
	size_t len = json_string_length(a);
	return len == json_string_length(b) &&
	       memcmp(json_string_value(a), json_string_value(b), len) == 0;
}

static bool
arrays_equal(const json_t *a, const json_t *b)
{
	size_t count = json_array_size(a);
	if (count != json_array_size(b)) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (!busp_equal(json_array_get(a, i), json_array_get(b, i))) {
			return false;
		}
	}
	return true;
}

static bool
objects_equal(const json_t *a, const json_t *b)
{
	if (json_object_size(a) != json_object_size(b)) {
		return false;
	}
	const char *name;
	size_t len;
	json_t *value;
	json_object_keylen_foreach((json_t *)a, name, len, value)
	{
		const json_t *other = json_object_getn(b, name, len);
		if (other == NULL || !busp_equal(value, other)) {
			return false;
		}
	}
	return true;
}

bool
busp_equal(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b)) {
		return busp_number_compare(a, b) == 0;
	}
	if (json_typeof(a) != json_typeof(b)) {
		return false;
	}
	switch (json_typeof(a)) {
	case JSON_STRING:
		return strings_equal(a, b);
	case JSON_ARRAY:
		return arrays_equal(a, b);
	case JSON_OBJECT:
		return objects_equal(a, b);
	case JSON_INTEGER:
	case JSON_REAL:
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		break;
	}
	return true;
}

static uint64_t
mix(uint64_t hash)
{
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccdull;
	hash ^= hash >> 33;
	hash *= 0xc4ceb9fe1a85ec53ull;
	return hash ^ hash >> 33;
}

static uint64_t
hash_bytes(const char *data, size_t len, uint64_t seed)
{
	uint64_t hash = mix(seed ^ len);
	while (len >= 8) {
		uint64_t word;
		memcpy(&word, data, 8);
		hash = mix(hash ^ word);
		data += 8;
		len -= 8;
	}
	uint64_t tail = 0;
	memcpy(&tail, data, len);
	return mix(hash ^ tail);
}

/* 1 and 1.0 are equal, so a real that is an integer hashes as one. */
static uint64_t
hash_number(const json_t *value, uint64_t seed)
{
	uint64_t bits;
	if (json_is_integer(value)) {
		bits = (uint64_t)json_integer_value(value);
	} else {
		double real = json_real_value(value);
		if (busp_number_whole(real) && real >= -0x1p63 && real < 0x1p63) {
			bits = (uint64_t)(json_int_t)real;
		} else {
			memcpy(&bits, &real, sizeof(bits));
		}
	}
	return mix(seed ^ bits);
}

uint64_t
busp_hash(const json_t *value, uint64_t seed)
{
	if (json_is_number(value)) {
		return hash_number(value, seed);
	}
	uint64_t hash = mix(seed + (uint64_t)json_typeof(value) + 1);
	if (json_is_string(value)) {
		return hash_bytes(json_string_value(value), json_string_length(value),
				  hash);
	}
	if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++) {
			hash = busp_hash(json_array_get(value, i), hash);
		}
	}
	if (json_is_object(value)) {
		const char *name;
		size_t len;
		json_t *member;
		uint64_t sum = 0; /* of members: their order does not count */
		json_object_keylen_foreach((json_t *)value, name, len, member)
		{
			sum += busp_hash(member, hash_bytes(name, len, hash));
		}
		hash = mix(hash ^ sum);
	}
	return hash;
}

size_t
busp_code_points(bus_str text)
{
	size_t count = 0;
	for (size_t i = 0; i < text.len; i++) {
		count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
	}
	return count;
}
