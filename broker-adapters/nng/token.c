/*
 * token.c - what a client shows and the broker asks for
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker-adapters/nng/wire.h"
#include "core/digest.h"

/* A token is a line of text; what is longer is another file. */
#define TOKEN_FILE_MAX 4096

bus_status
busp_token_load(const char *path, uint8_t ret_token[BUSP_TOKEN_BYTES], bus_error *err)
{
	char text[TOKEN_FILE_MAX + 1];
	FILE *file = fopen(path, "re");
	size_t len = file != NULL ? fread(text, 1, sizeof(text), file) : 0;
	bool read = file != NULL && ferror(file) == 0;
	int code = errno;
	if (file != NULL) {
		(void)fclose(file);
	}
	if (read && len > TOKEN_FILE_MAX) {
		return bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "token file %s: longer than %d bytes", path,
				     TOKEN_FILE_MAX);
	}
	if (len > 0 && text[len - 1] == '\n') {
		len--;
	}
	if (!read || len == 0) {
		return bus_error_set(err, BUS_E_FATAL, "config", read ? 0 : code,
				     "token file %s: %s", path,
				     read ? "it is empty" : strerror(code));
	}
	bus_digest digest = bus_digest_of((bus_str){ text, len });
	memcpy(ret_token, digest.bytes, BUSP_TOKEN_BYTES);
	return BUS_OK;
}
