/*
 * cache.c - a chained hash table of deep-copied rows
 *
 * DESIGN
 * An entry is one block: header, the row's struct, then the bytes of its texts. Putting a row
 * again replaces the block, so nothing is ever half updated.
 */
#include "workers/engine/cache.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS_MIN 1024u

typedef struct entry {
	struct entry *next;
	const bus_row_type *type;
	uint64_t hash;
	bool absent; /* only the key columns are set */
	_Alignas(16) char row[];
} entry;

struct busp_cache {
	entry **buckets;
	size_t bucket_count; /* a power of two */
	size_t count;
};

static void *
allocate(size_t bytes)
{
	void *memory = calloc(1, bytes);
	if (memory == NULL) {
		fputs("busline: out of memory for cached state rows\n", stderr);
		abort();
	}
	return memory;
}

static bool
is_text(bus_column_type type)
{
	return type == BUS_COL_TEXT || type == BUS_COL_JSON || type == BUS_COL_BYTES;
}

static const void *
member(const bus_column *column, const void *row)
{
	return (const char *)row + column->offset;
}

int
busp_row_compare(const bus_row_type *type, const void *a, const void *b)
{
	for (size_t i = 0; i < type->key_count; i++) {
		const bus_column *column = &type->columns[i];
		if (is_text(column->type)) {
			const bus_str *x = member(column, a), *y = member(column, b);
			size_t common = x->len < y->len ? x->len : y->len;
			int order = common == 0 ? 0 : memcmp(x->data, y->data, common);
			if (order == 0) {
				order = (x->len > y->len) - (x->len < y->len);
			}
			if (order != 0) {
				return order;
			}
		} else {
			int64_t x = *(const int64_t *)member(column, a);
			int64_t y = *(const int64_t *)member(column, b);
			if (x != y) {
				return x < y ? -1 : 1;
			}
		}
	}
	return 0;
}

/* FNV-1a, 64 bit; keys are ours or bounded by the envelope, and a chain only costs time. */
static uint64_t
mix(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	for (size_t i = 0; i < len; i++) {
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	}
	return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

uint64_t
busp_row_hash(const bus_row_type *type, const void *key)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < type->key_count; i++) {
		const bus_column *column = &type->columns[i];
		if (is_text(column->type)) {
			const bus_str *text = member(column, key);
			hash = mix(hash, text->data, text->len);
		} else {
			hash = mix(hash, member(column, key), sizeof(int64_t));
		}
	}
	return hash ^ (hash >> 29) ^ ((uint64_t)(uintptr_t)type >> 4);
}

busp_cache *
busp_cache_create(void)
{
	busp_cache *cache = allocate(sizeof(*cache));
	cache->bucket_count = BUCKETS_MIN;
	cache->buckets = allocate(cache->bucket_count * sizeof(entry *));
	return cache;
}

void
busp_cache_clear(busp_cache *cache)
{
	for (size_t i = 0; i < cache->bucket_count && cache->count > 0; i++) {
		while (cache->buckets[i] != NULL) {
			entry *e = cache->buckets[i];
			cache->buckets[i] = e->next;
			free(e);
			cache->count--;
		}
	}
}

void
busp_cache_destroy(busp_cache *cache)
{
	if (cache == NULL) {
		return;
	}
	busp_cache_clear(cache);
	free(cache->buckets);
	free(cache);
}

size_t
busp_cache_count(const busp_cache *cache)
{
	return cache->count;
}

/* The link that points at the entry of this key, or at the end of its chain. */
static entry **
find(const busp_cache *cache, const bus_row_type *type, const void *key, uint64_t hash)
{
	entry **link = &cache->buckets[hash & (cache->bucket_count - 1)];
	while (*link != NULL) {
		entry *e = *link;
		if (e->hash == hash && e->type == type &&
		    busp_row_compare(type, e->row, key) == 0) {
			break;
		}
		link = &e->next;
	}
	return link;
}

bool
busp_cache_get(const busp_cache *cache, const bus_row_type *type, const void *key,
	       const void **ret_row)
{
	const entry *e = *find(cache, type, key, busp_row_hash(type, key));
	if (e == NULL) {
		return false;
	}
	*ret_row = e->absent ? NULL : e->row;
	return true;
}

static void
grow(busp_cache *cache)
{
	size_t count = cache->bucket_count * 2;
	entry **buckets = allocate(count * sizeof(entry *));
	for (size_t i = 0; i < cache->bucket_count; i++) {
		while (cache->buckets[i] != NULL) {
			entry *e = cache->buckets[i];
			cache->buckets[i] = e->next;
			e->next = buckets[e->hash & (count - 1)];
			buckets[e->hash & (count - 1)] = e;
		}
	}
	free(cache->buckets);
	cache->buckets = buckets;
	cache->bucket_count = count;
}

/* One block holding the first column_count columns of row and their texts. */
static entry *
copy(const bus_row_type *type, const void *row, size_t column_count)
{
	size_t bytes = sizeof(entry) + type->size;
	for (size_t i = 0; i < column_count; i++) {
		if (is_text(type->columns[i].type)) {
			bytes += ((const bus_str *)member(&type->columns[i], row))->len;
		}
	}
	entry *e = allocate(bytes);
	e->type = type;
	char *tail = e->row + type->size;
	if (column_count == type->column_count) {
		memcpy(e->row, row, type->size);
	}
	for (size_t i = 0; i < column_count; i++) {
		const bus_column *column = &type->columns[i];
		if (!is_text(column->type)) {
			if (column_count != type->column_count) {
				memcpy(e->row + column->offset, member(column, row),
				       sizeof(int64_t));
			}
			continue;
		}
		bus_str text = *(const bus_str *)member(column, row);
		if (text.data != NULL) {
			memcpy(tail, text.data, text.len);
			text.data = tail;
			tail += text.len;
		}
		memcpy(e->row + column->offset, &text, sizeof(text));
	}
	return e;
}

static void
put(busp_cache *cache, entry *e)
{
	e->hash = busp_row_hash(e->type, e->row);
	entry **link = find(cache, e->type, e->row, e->hash);
	entry *old = *link;
	if (old != NULL) {
		e->next = old->next;
		*link = e;
		free(old);
		return;
	}
	*link = e;
	cache->count++;
	if (cache->count > cache->bucket_count) {
		grow(cache);
	}
}

void
busp_cache_put(busp_cache *cache, const bus_row_type *type, const void *row)
{
	put(cache, copy(type, row, type->column_count));
}

void
busp_cache_put_absent(busp_cache *cache, const bus_row_type *type, const void *key)
{
	entry *e = copy(type, key, type->key_count);
	e->absent = true;
	put(cache, e);
}
