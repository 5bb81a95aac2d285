/*
 * base64.c - RFC 4648 section 4
 *
 * Not OpenSSL's EVP_DecodeBlock: it lets white space and stray bits through, so that two
 * texts would be one event.
 */
#include "core/base64.h"

static const char busp_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
busp_base64_value(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
busp_base64_decode(bus_str text, bus_arena *arena, bus_str *ret_bytes)
{
	if (text.len % 4 != 0) {
		return false;
	}
	size_t padding = 0;
	while (padding < 2 && padding < text.len &&
	       text.data[text.len - 1 - padding] == '=') {
		padding++;
	}
	size_t letters = text.len - padding;
	char *bytes = bus_arena_alloc(arena, letters / 4 * 3 + 3);
	size_t len = 0;
	uint32_t bits = 0;
	for (size_t i = 0; i < letters; i++) {
		int value = busp_base64_value(text.data[i]);
		if (value < 0) {
			return false;
		}
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 != 0) {
			/* after letter 2, 3, 4 of a group there are 4, 2, 0 bits left over */
			bytes[len++] = (char)(uint8_t)(bits >> (6 - 2 * (i % 4)));
		}
	}
	uint32_t stray = padding == 2 ? bits & 0x0f : padding == 1 ? bits & 0x03 : 0;
	if (stray != 0) {
		return false;
	}
	*ret_bytes = (bus_str){ bytes, len };
	return true;
}

bus_str
busp_base64_encode(bus_str bytes, bus_arena *arena)
{
	char *text = bus_arena_alloc(arena, bytes.len / 3 * 4 + 5);
	size_t len = 0;
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint8_t b[3] = { 0 };
		memcpy(b, bytes.data + i, left < 3 ? left : 3);
		uint32_t bits = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
		text[len++] = busp_alphabet[bits >> 18];
		text[len++] = busp_alphabet[bits >> 12 & 63];
		text[len++] = left > 1 ? busp_alphabet[bits >> 6 & 63] : '=';
		text[len++] = left > 2 ? busp_alphabet[bits & 63] : '=';
	}
	return (bus_str){ text, len };
}
