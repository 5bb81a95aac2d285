/*
 * rows.h - an assertion that says which row of a table it was
 */
#ifndef BUS_TEST_ROWS_H
#define BUS_TEST_ROWS_H

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stdio.h>

static inline void
bus_assert_row_at(const char *row, bool holds, const char *condition, unsigned line,
		  const char *file)
{
	char text[300];
	snprintf(text, sizeof(text), "%.200s: %s", row, condition);
	CU_assertImplementation(holds, line, text, file, "", CU_FALSE);
}

#define BUS_ASSERT_ROW(row, condition)                                                   \
	bus_assert_row_at((row), (condition), #condition, __LINE__, __FILE__)

#endif
