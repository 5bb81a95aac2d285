/*
 * suite.h - the one main of every CUnit executable
 *
 * A test file defines bus_suite: its name and its cases. main() lives in cunit_main.c: it
 * reads the failures before cleanup, and fails too when nothing ran.
 */
#ifndef BUS_TEST_SUITE_H
#define BUS_TEST_SUITE_H

#include <CUnit/CUnit.h>

typedef struct bus_case {
	const char *name; /* what must hold, as a sentence */
	void (*run)(void);
} bus_case;

typedef struct bus_suite_def {
	const char *name;
	const bus_case *cases; /* ended by a zero row */
	int (*setup)(void);    /* once, may be NULL; 0 is success */
	int (*teardown)(void); /* once, may be NULL */
} bus_suite_def;

extern const bus_suite_def bus_suite;

#endif
