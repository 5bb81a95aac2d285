/*
 * cache.h - state rows a worker keeps in memory, known absences included
 *
 * Sound only for rows that nobody else writes: the epoch in every transaction guards it.
 */
#ifndef BUSP_ENGINE_CACHE_H
#define BUSP_ENGINE_CACHE_H

#include "core/row.h"

typedef struct busp_cache busp_cache;

busp_cache *busp_cache_create(void);
void busp_cache_destroy(busp_cache *cache);
/* Forgets everything; memory goes back to malloc. */
void busp_cache_clear(busp_cache *cache);
/* Rows and absences held. */
size_t busp_cache_count(const busp_cache *cache);

/* Is it known? Then *ret_row is the row, borrowed until it is put again or cleared, or NULL
 * for a known absence. */
bool busp_cache_get(const busp_cache *cache, const bus_row_type *type, const void *key,
		    const void **ret_row);
/* A deep copy under the row's key. */
void busp_cache_put(busp_cache *cache, const bus_row_type *type, const void *row);
/* There is no row with this key. */
void busp_cache_put_absent(busp_cache *cache, const bus_row_type *type, const void *key);

/* Order and equality of key columns; texts by bytes, as COLLATE "C" has it. */
int busp_row_compare(const bus_row_type *type, const void *a, const void *b);
uint64_t busp_row_hash(const bus_row_type *type, const void *key);

#endif
