/*
 * crash.h - named points at which a test kills the process
 *
 * BUSLINE_CRASH_POINT=name or name:N in the environment: SIGKILL at the N-th passage
 * (1 by default). Compiled out (always false) where BUS_CRASH_POINTS is 0, as in the
 * release preset.
 */
#ifndef BUS_CORE_CRASH_H
#define BUS_CORE_CRASH_H

#include <stdbool.h>

/* The points, in the order of a transaction; the crash test walks this table. */
#define BUS_CRASH_POINT_LIST(X)                                                          \
	X(AFTER_POLL, "after-poll")           /* a batch was read, nothing was sent */   \
	X(AFTER_BEGIN, "after-begin")         /* the fence holds, no row is written */   \
	X(AFTER_LEDGER, "after-ledger")       /* the ledger rows are in, state is not */ \
	X(BEFORE_COMMIT, "before-commit")     /* every row is in, COMMIT not sent */     \
	X(AFTER_COMMIT, "after-commit")       /* COMMIT sent, its answer not read */     \
	X(RELAY_PUBLISHED, "relay-published") /* in the topic, not marked */

typedef enum bus_crash_point {
#define X(symbol, name) BUS_CRASH_##symbol,
	BUS_CRASH_POINT_LIST(X)
#undef X
		BUS_CRASH_COUNT
} bus_crash_point;

#ifndef BUS_CRASH_POINTS
#define BUS_CRASH_POINTS 0
#endif

#if BUS_CRASH_POINTS
/* True if this passage is the one to die at; the caller then brings the outside (a
 * flushed connection) to exactly that point and calls bus_crash_now(). */
bool bus_crash_due(bus_crash_point point);
/* Is this point, at any passage, what the environment asks for? */
bool bus_crash_armed(bus_crash_point point);
__attribute__((noreturn)) void bus_crash_now(void);
#else
static inline bool
bus_crash_due(bus_crash_point point)
{
	(void)point;
	return false;
}
static inline bool
bus_crash_armed(bus_crash_point point)
{
	(void)point;
	return false;
}
static inline void
bus_crash_now(void)
{
}
#endif

#endif
