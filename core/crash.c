/*
 * crash.c - BUSLINE_CRASH_POINT
 */
#include "core/crash.h"

#if BUS_CRASH_POINTS

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static pthread_once_t busp_crash_once = PTHREAD_ONCE_INIT;
static bus_crash_point busp_crash_wanted = BUS_CRASH_COUNT;
static long busp_crash_passage = 1;
static atomic_long busp_crash_passed;

/* A test that asks for a point which does not exist must not go on as if it survived. */
static void
busp_crash_refuse(const char *wanted)
{
	fprintf(stderr, "busline: BUSLINE_CRASH_POINT=%s names no crash point\n", wanted);
	_exit(EX_CONFIG);
}

static void
busp_crash_read(void)
{
	static const char *const names[] = {
#define X(symbol, name) name,
		BUS_CRASH_POINT_LIST(X)
#undef X
	};
	const char *wanted = getenv("BUSLINE_CRASH_POINT");
	if (wanted == NULL || *wanted == '\0') {
		return;
	}
	size_t len = strcspn(wanted, ":");
	for (int i = 0; i < BUS_CRASH_COUNT; i++) {
		if (strlen(names[i]) == len && memcmp(names[i], wanted, len) == 0) {
			busp_crash_wanted = (bus_crash_point)i;
		}
	}
	if (wanted[len] == ':') {
		char *end;
		busp_crash_passage = strtol(wanted + len + 1, &end, 10);
		if (*end != '\0' || busp_crash_passage < 1) {
			busp_crash_refuse(wanted);
		}
	}
	if (busp_crash_wanted == BUS_CRASH_COUNT) {
		busp_crash_refuse(wanted);
	}
}

bool
bus_crash_armed(bus_crash_point point)
{
	pthread_once(&busp_crash_once, busp_crash_read);
	return point == busp_crash_wanted;
}

bool
bus_crash_due(bus_crash_point point)
{
	return bus_crash_armed(point) &&
	       atomic_fetch_add(&busp_crash_passed, 1) + 1 == busp_crash_passage;
}

void
bus_crash_now(void)
{
	kill(getpid(), SIGKILL);
	for (;;) {
		pause();
	}
}

#endif
