/*
 * memory.h - the end of the process when memory is short (private to core)
 */
#ifndef BUS_CORE_MEMORY_H
#define BUS_CORE_MEMORY_H

#include <stddef.h>

/* Says on stderr how many bytes were wanted for what, and aborts. */
__attribute__((noreturn)) void busp_memory_short(const char *what, size_t bytes);

#endif
