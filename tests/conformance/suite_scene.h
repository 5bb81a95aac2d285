/*
 * suite_scene.h - what goes on at a broker while something happens to it
 *
 * For the cases of one adapter that kill and start its broker: events are published all the
 * time, and read by a member of a group and by a reader without one.
 */
#ifndef BUS_SUITE_SCENE_H
#define BUS_SUITE_SCENE_H

#include "tests/conformance/adapter_suite.h"

typedef struct bus_suite_pump {
	bus_adapter *adapter;
	const char *topic;
	int next;      /* value of the next publication */
	int uncertain; /* outcomes so far */
	int failed;
	int durable;
} bus_suite_pump;

/* Publishes a batch of ten once; what is not durable is sent again by the next call, in
 * order from the first that is not. */
void bus_suite_pump_once(bus_suite_pump *self, int timeout_ms);

/* Reads the whole log: values may repeat, but a new one always follows the last new one.
 * Returns how many records there are until the last new one. */
int bus_suite_values_check(const char *topic, int count);

typedef struct bus_suite_scene {
	bus_suite_pump pump; /* writes all the time */
	bus_suite_pump late; /* writes before, and when the broker is gone for a while */
	bus_suite_reader group; /* reads as a member of a group */
	bus_suite_reader alone; /* reads without */
} bus_suite_scene;

/* At the broker of bus_fixture. */
void bus_suite_scene_open(bus_suite_scene *self);
void bus_suite_scene_close(bus_suite_scene *self);
/* Writes and reads until all have come to `count` events; false: in vain. Prints how long
 * writing and reading took. */
bool bus_suite_scene_until(bus_suite_scene *self, int count);

/* Speed of publishing, reading, and of single events; printed and not judged: machines are
 * shared. */
void bus_suite_rate(void);

#endif
