/*
 * base64.h - RFC 4648 section 4, strict (private to core)
 */
#ifndef BUS_CORE_BASE64_H
#define BUS_CORE_BASE64_H

#include "core/arena.h"

/* With padding, without white space, without stray bits; false on anything else. */
bool busp_base64_decode(bus_str text, bus_arena *arena, bus_str *ret_bytes);

bus_str busp_base64_encode(bus_str bytes, bus_arena *arena);

#endif
