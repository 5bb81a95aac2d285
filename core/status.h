/*
 * status.h - what the caller may do next, and why
 *
 * Every function that can fail returns a bus_status and fills a bus_error that
 * the caller owns. The first cause wins: setting an error that is set already
 * changes nothing.
 */
#ifndef BUS_CORE_STATUS_H
#define BUS_CORE_STATUS_H

#include <stdarg.h>

#define BUS_MUST_CHECK __attribute__((warn_unused_result))
#define BUS_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

typedef enum bus_status {
	BUS_OK = 0, /* done */
	BUS_E_RETRY, /* nothing happened; the same call may be made again after a back-off */
	BUS_E_ABORT,   /* the unit of work is lost; roll back and start it over */
	BUS_E_UNKNOWN, /* it may have happened; find out before acting again */
	BUS_E_REJECT,  /* this event can never succeed; quarantine it and go on */
	BUS_E_FATAL, /* this process cannot go on: configuration, fencing, broken invariant */
} bus_status;

#define BUS_ERROR_TEXT_MAX 512
#define BUS_SQLSTATE_LEN 5

/* Fixed size, no allocation: it works when memory is gone. */
typedef struct bus_error {
	bus_status status;
	const char *origin; /* static: "pg", "kafka", "schema", "config", ... */
	int native_code;    /* of the library, 0 when there is none */
	char sqlstate[BUS_SQLSTATE_LEN + 1]; /* empty unless origin is "pg" */
	char constraint[64];           /* the violated constraint, if pg named one */
	char text[BUS_ERROR_TEXT_MAX]; /* one sentence: object, operation, cause */
} bus_error;

#define BUS_ERROR_INIT ((bus_error){ .status = BUS_OK })

/**
 * bus_error_set - fill an error, once, and hand its status back
 *
 * @err: may be NULL; left alone when it holds an error already
 * @origin: a string with static storage
 *
 * Returns @status, so that `return bus_error_set(...)` reads well.
 * Threads: any; the error belongs to one thread.
 */
bus_status bus_error_set(bus_error *err, bus_status status, const char *origin,
			 int native_code, const char *fmt, ...) BUS_PRINTF(5, 6);

/* The same for callers that are variadic themselves. */
bus_status bus_error_vset(bus_error *err, bus_status status, const char *origin,
			  int native_code, const char *fmt, va_list args)
	BUS_PRINTF(5, 0);

/* Forget the error, to use the storage again. */
void bus_error_reset(bus_error *err);

/* "RETRY", "ABORT", ...: static text. */
const char *bus_status_name(bus_status status);

#endif
