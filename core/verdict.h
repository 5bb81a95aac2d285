/*
 * verdict.h - what became of an event
 */
#ifndef BUS_CORE_VERDICT_H
#define BUS_CORE_VERDICT_H

typedef enum bus_verdict {
	BUS_APPLIED, /* state says so now */
	BUS_IGNORED, /* right, but without effect; the reason is stored */
	BUS_REJECTED, /* can never be applied; a dead letter holds its bytes and the cause */
	BUS_REROUTED, /* away from its home partition; sent home through the outbox */
	BUS_HELD, /* its key is in quarantine: stored, folded when the key is released */
	BUS_VERDICT_COUNT,
} bus_verdict;

/* "APPLIED", ...; static. The same texts are the SQL type busline.verdict. */
const char *bus_verdict_name(bus_verdict verdict);

#endif
