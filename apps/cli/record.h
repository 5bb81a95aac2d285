/*
 * record.h - a record of a log, for people: its event's attributes, headers and data
 */
#ifndef BUS_CLI_RECORD_H
#define BUS_CLI_RECORD_H

#include "core/event.h"

/**
 * bus_cli_data_json - the data of a record as JSON
 *
 * JSON is kept as it came; other text becomes a string, other bytes a string of base64
 * under the name data_base64. Absent: null.
 *
 * @ret_base64: true if the second name is the right one
 */
bus_str bus_cli_data_json(bus_str data, bus_arena *arena, bool *ret_base64);

/* All headers as a JSON object; a repeated name becomes an array. */
bus_str bus_cli_headers_json(const bus_header *headers, size_t count, bus_arena *arena);

/* Text of bytes: itself if it is UTF-8, else \x and hex digits. */
bus_str bus_cli_text_of(bus_str bytes, bus_arena *arena);

/* The bytes of PostgreSQL's "\x..." ; absent if it is not that. */
bus_str bus_cli_bytea(bus_str text, bus_arena *arena);

#endif
