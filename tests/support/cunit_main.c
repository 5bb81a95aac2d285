/*
 * cunit_main.c - runs bus_suite; the exit code is the truth
 *
 * CU_basic_run_tests() answers 0 although assertions failed, and the counters are gone
 * after cleanup: they are read in between. With an argument only the cases run whose name
 * contains it.
 */
#include <CUnit/Basic.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"

int
main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS) {
		return EXIT_FAILURE;
	}
	CU_pSuite suite =
		CU_add_suite(bus_suite.name, bus_suite.setup, bus_suite.teardown);
	if (suite == NULL) {
		fprintf(stderr, "%s: %s\n", bus_suite.name, CU_get_error_msg());
		return EXIT_FAILURE;
	}
	for (const bus_case *c = bus_suite.cases; c->name != NULL; c++) {
		if (argc > 1 && strstr(c->name, argv[1]) == NULL) {
			continue;
		}
		if (CU_add_test(suite, c->name, c->run) == NULL) {
			fprintf(stderr, "%s: %s\n", c->name, CU_get_error_msg());
			return EXIT_FAILURE;
		}
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_ErrorCode code = CU_basic_run_tests();
	unsigned ran = CU_get_number_of_tests_run();
	unsigned failed = CU_get_number_of_failures() + CU_get_number_of_suites_failed();
	CU_cleanup_registry();
	if (code != CUE_SUCCESS || failed > 0 || ran == 0) {
		fprintf(stderr, "%s: %u tests run, %u failures\n", bus_suite.name, ran,
			failed);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
