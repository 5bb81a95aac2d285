/*
 * str.c - UTF-8, checked
 */
#include "core/text.h"

static bool
busp_ascii_word(const char *data)
{
	uint64_t word;
	memcpy(&word, data, sizeof(word));
	return (word & UINT64_C(0x8080808080808080)) == 0;
}

size_t
busp_utf8_next(bus_str text, size_t at, uint32_t *ret_code)
{
	/* Unsigned bytes of the character, zero where the text has ended: zero is no
	 * continuation byte, so a cut character fails like a wrong one. */
	uint8_t b[4] = { 0 };
	size_t left = text.len - at;
	memcpy(b, text.data + at, left < 4 ? left : 4);

	if (b[0] < 0x80) {
		*ret_code = b[0];
		return 1;
	}
	size_t len = b[0] >= 0xc2 && b[0] <= 0xdf ? 2 :
		     b[0] >= 0xe0 && b[0] <= 0xef ? 3 :
		     b[0] >= 0xf0 && b[0] <= 0xf4 ? 4 :
						    0;
	if (len == 0) {
		return 0;
	}
	uint32_t code = b[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((b[i] & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (b[i] & 0x3fu);
	}
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
		return 0;
	}
	*ret_code = code;
	return len;
}

bool
bus_utf8_valid(bus_str text)
{
	size_t at = 0;
	while (at < text.len) {
		if (text.len - at >= 8 && busp_ascii_word(text.data + at)) {
			at += 8;
			continue;
		}
		uint32_t code;
		size_t len = busp_utf8_next(text, at, &code);
		if (len == 0) {
			return false;
		}
		at += len;
	}
	return true;
}

static size_t
busp_json_escape(uint32_t code, char ret_unit[BUSP_JSON_UNIT_MAX])
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
	};
	char letter = code < 32 ? letters[code] : (char)code;
	ret_unit[0] = '\\';
	if (letter != 0 && code != 0x7f) {
		ret_unit[1] = letter;
		return 2;
	}
	memcpy(ret_unit + 1, "u00", 3);
	ret_unit[4] = hex[code >> 4];
	ret_unit[5] = hex[code & 15];
	return 6;
}

size_t
busp_json_unit(bus_str text, size_t *at, char ret_unit[BUSP_JSON_UNIT_MAX])
{
	uint32_t code;
	size_t len = busp_utf8_next(text, *at, &code);
	if (len == 0) {
		memcpy(ret_unit, "\\ufffd", 6);
		*at += 1;
		return 6;
	}
	const char *data = text.data + *at;
	*at += len;
	if (code < 0x20 || code == '"' || code == '\\' || code == 0x7f) {
		return busp_json_escape(code, ret_unit);
	}
	memcpy(ret_unit, data, len);
	return len;
}
