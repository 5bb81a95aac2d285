/*
 * error.c - native errors to statuses, by one table; what is not in it is fatal
 */
#include <stdio.h>

#include "sql/store_private.h"

typedef enum busp_meaning {
	BUSP_TRANSIENT, /* rolled back; the same again may work */
	BUSP_FENCED,    /* rolled back; somebody else owns it */
	BUSP_DATA,      /* the values are refused, now and always */
	BUSP_LOST,      /* the connection is gone */
	BUSP_STALE,     /* rolled back; prepare again */
	BUSP_WORDS,     /* wrong SQL: a person's mistake, or our bug */
	BUSP_UNLISTED,  /* cannot go on */
} busp_meaning;

/* A row with five characters before its class of two. */
static const struct {
	const char *sqlstate;
	busp_meaning meaning;
	const char *why;
} sqlstates[] = {
	{ BUS_SQLSTATE_FENCED, BUSP_FENCED, "epoch or offset is not the expected one" },
	{ "0A000", BUSP_STALE, "cached plan must not change result type, after DDL" },
	{ "26000", BUSP_STALE, "no such prepared statement: a pooler, DISCARD ALL" },
	{ "08", BUSP_LOST, "connection exceptions" },
	{ "22", BUSP_DATA, "data exceptions: out of range, bad encoding, bad JSON" },
	{ "23505", BUSP_UNLISTED,
	  "two rows of one key: nobody else writes them, so a bug" },
	{ "23", BUSP_DATA, "constraints" },
	{ "25006", BUSP_TRANSIENT, "read only: a standby now; connect again" },
	{ "25P02", BUSP_TRANSIENT, "behind a statement that failed" },
	{ "25P03", BUSP_TRANSIENT, "idle in transaction for too long" },
	{ "40003", BUSP_LOST, "statement completion unknown" },
	{ "40", BUSP_TRANSIENT, "serialisation, deadlock" },
	{ "42501", BUSP_UNLISTED, "not allowed for the role" },
	{ "42", BUSP_WORDS, "syntax, unknown names" },
	{ "53", BUSP_TRANSIENT, "disk full, out of memory, too many connections" },
	{ "54", BUSP_DATA, "too large for an index, too deep" },
	{ "55006", BUSP_TRANSIENT, "object in use" },
	{ "55P03", BUSP_TRANSIENT, "lock not available" },
	{ "57014", BUSP_TRANSIENT, "cancelled: statement_timeout" },
	{ "57P01", BUSP_TRANSIENT, "terminated by an administrator" },
	{ "57P02", BUSP_TRANSIENT, "another backend crashed" },
	{ "57P03", BUSP_TRANSIENT, "starting up or shutting down" },
	{ "57P05", BUSP_TRANSIENT, "idle session time-out" },
};

static busp_meaning
meaning_of(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(sqlstates) / sizeof(sqlstates[0]); i++) {
		const char *row = sqlstates[i].sqlstate;
		if (strncmp(row, sqlstate, strlen(row)) == 0) {
			return sqlstates[i].meaning;
		}
	}
	return BUSP_UNLISTED;
}

bus_status
busp_status_of(const char *sqlstate, busp_context context)
{
	switch (meaning_of(sqlstate)) {
	case BUSP_FENCED:
		return BUS_E_ABORT;
	case BUSP_TRANSIENT:
	case BUSP_STALE:
		return context == BUSP_IN_UNIT ? BUS_E_ABORT : BUS_E_RETRY;
	case BUSP_DATA:
		return context == BUSP_IN_CONNECT ? BUS_E_FATAL : BUS_E_REJECT;
	case BUSP_LOST:
		return context == BUSP_IN_UNIT ? BUS_E_UNKNOWN : BUS_E_RETRY;
	case BUSP_WORDS:
		return context == BUSP_IN_QUESTION ? BUS_E_REJECT : BUS_E_FATAL;
	case BUSP_UNLISTED:
		return BUS_E_FATAL;
	}
	return BUS_E_FATAL;
}

bool
busp_sqlstate_is_stale(const char *sqlstate)
{
	return meaning_of(sqlstate) == BUSP_STALE;
}

static const char *
field_of(const PGresult *result, int code)
{
	const char *field = PQresultErrorField(result, code);
	return field == NULL ? "" : field;
}

/* The primary message only: DETAIL quotes values, which may be another tenant's. */
bus_status
busp_error_result(bus_error *err, const PGresult *result, busp_context context,
		  const char *what)
{
	const char *sqlstate = field_of(result, PG_DIAG_SQLSTATE);
	const char *constraint = field_of(result, PG_DIAG_CONSTRAINT_NAME);
	/* libpq's own failures have no SQLSTATE: the connection broke. */
	bus_status status =
		busp_status_of(sqlstate[0] != '\0' ? sqlstate : "08006", context);
	if (context == BUSP_IN_UNIT && strcmp(sqlstate, "23505") == 0 &&
	    strstr(constraint, "identity_pkey") != NULL) {
		status = BUS_E_ABORT;
	}
	/* A person's transaction is read only: that is no standby. */
	if (context == BUSP_IN_QUESTION && strcmp(sqlstate, "25006") == 0) {
		status = BUS_E_REJECT;
	}
	if (err == NULL || err->status != BUS_OK) {
		return status;
	}
	const char *message = field_of(result, PG_DIAG_MESSAGE_PRIMARY);
	if (message[0] == '\0') {
		message = PQresultErrorMessage(result);
	}
	snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
	snprintf(err->constraint, sizeof(err->constraint), "%s", constraint);
	return bus_error_set(err, status, BUSP_ORIGIN, (int)PQresultStatus(result),
			     "%s: %s", what, message);
}

bool
bus_store_is_repeat(const bus_error *err)
{
	return strcmp(err->sqlstate, "23505") == 0 &&
	       strcmp(err->constraint, "identity_pkey") == 0;
}
