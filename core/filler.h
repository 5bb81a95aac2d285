/*
 * filler.h - a record that is no event: it keeps an offset where a log that was moved has none
 *
 * Moving topics to another broker (docs/migrate-broker.md) keeps every offset. Where the old
 * log has no record (a mark of a transaction, what retention cut off), the new one gets a
 * filler. Workers pass by it, and nobody is shown it who does not ask.
 */
#ifndef BUS_CORE_FILLER_H
#define BUS_CORE_FILLER_H

#include "core/event.h"

#define BUS_FILLER_HEADER "busline-filler"
/* The value of the short form, which passes where events do not (see kafka/README.md). */
#define BUS_FILLER_VALUE "~filler"

/* The record, for publications; static. */
static inline bus_record
bus_filler(void)
{
	static const bus_header header = {
		{ BUS_FILLER_HEADER, sizeof(BUS_FILLER_HEADER) - 1 }, { NULL, 0 }
	};
	return (bus_record){ .headers = &header, .header_count = 1 };
}

/* Either form. */
static inline bool
bus_is_filler(const bus_record *record)
{
	if (record->key.data != NULL) {
		return false;
	}
	return record->value.data == NULL ?
		       record->header_count == 1 &&
			       bus_str_is(record->headers[0].name, BUS_FILLER_HEADER) :
		       record->header_count == 0 &&
			       bus_str_is(record->value, BUS_FILLER_VALUE);
}

#endif
