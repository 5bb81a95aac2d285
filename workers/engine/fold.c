/*
 * fold.c - folds over a batch, with the rows they need and the rows they change
 */
#include "workers/engine/fold.h"

#include <stdio.h>
#include <stdlib.h>

#include "workers/engine/answer.h"
#include "workers/engine/cache.h"

/* A worker owns a handful of tables; the widest so far has three. */
#define TABLES_MAX 16
/* Changed rows of a batch are found through this many chains. */
#define WORK_BUCKETS 4096u
#define KEY_BUCKETS 4096u
/* As in the schema of timer.fired; the longest made so far is "deadline/" and a sagastep. */
#define TIMER_NAME_MAX 512u

/* A row changed in this batch; the newest version only. */
typedef struct work {
	struct work *next;
	const bus_row_type *type;
	uint64_t hash;
	const void *row;
} work;

/* The events of one key, and how far they are folded. */
typedef struct key_group {
	struct key_group *next_in_bucket;
	struct key_group *next;
	uint64_t hash;
	bus_fold_item *head, *tail; /* those not folded yet, in order */
} key_group;

typedef struct staged {
	struct staged *next;
	const bus_row_type *type;
	const void *row;
} staged;

typedef struct missing {
	struct missing *next;
	const void *key;
} missing;

struct bus_folder {
	const bus_worker *worker;
	bus_fold_source source;
	busp_cache *cache;
	size_t rows_max;
	size_t table_count;
	bus_str source_name; /* of follow-ups: "/busline/worker/deploy" */
	char source_text[96];

	/* of the run */
	bus_arena *arena;
	work *works[WORK_BUCKETS];
	size_t work_counts[TABLES_MAX];
	missing *missing[TABLES_MAX];
	size_t missing_counts[TABLES_MAX];
	bus_unit_write writes[TABLES_MAX];
	size_t write_count;
};

struct bus_fold {
	bus_folder *folder;
	bus_fold_item *item;
	staged *puts, **puts_tail;
	bool waits;
	bus_str reason;
};

static size_t
table_of(const bus_folder *folder, const bus_row_type *type)
{
	for (size_t i = 0; i < folder->table_count; i++) {
		if (folder->worker->tables[i] == type) {
			return i;
		}
	}
	fprintf(stderr, "busline: worker %s uses table %s, which it does not declare\n",
		folder->worker->name, type->name);
	abort();
}

bus_folder *
bus_folder_create(const bus_worker *worker, bus_fold_source source, size_t rows_max)
{
	bus_folder *folder = calloc(1, sizeof(*folder));
	if (folder == NULL) {
		return NULL;
	}
	folder->worker = worker;
	folder->source = source;
	folder->rows_max = rows_max;
	folder->cache = busp_cache_create();
	while (worker->tables[folder->table_count] != NULL) {
		folder->table_count++;
	}
	int len = snprintf(folder->source_text, sizeof(folder->source_text),
			   "/busline/worker/%s", worker->name);
	if (folder->table_count > TABLES_MAX || len >= (int)sizeof(folder->source_text)) {
		fprintf(stderr, "busline: worker %s declares too much\n", worker->name);
		abort();
	}
	folder->source_name = (bus_str){ folder->source_text, (size_t)len };
	return folder;
}

busp_teller
bus_folder_teller(const bus_folder *folder)
{
	return (busp_teller){ .worker = folder->worker, .source = folder->source_name };
}

void
bus_folder_destroy(bus_folder *folder)
{
	if (folder == NULL) {
		return;
	}
	busp_cache_destroy(folder->cache);
	free(folder);
}

/* ---- what a fold may call ---- */

/* The key with tenant and subject of the event, whatever the fold wrote there. */
static void *
own_key(bus_fold *fold, const bus_row_type *type, const void *row)
{
	char *key = bus_arena_alloc(fold->folder->arena, type->size);
	memcpy(key, row, type->size);
	const bus_event *event = fold->item->event;
	memcpy(key + type->columns[0].offset, &event->tenant, sizeof(bus_str));
	if (type->key_count > 1) {
		bus_str subject =
			event->subject.data != NULL ? event->subject : BUS_STR("");
		memcpy(key + type->columns[1].offset, &subject, sizeof(bus_str));
	}
	return key;
}

static work **
find_work(bus_folder *folder, const bus_row_type *type, const void *key, uint64_t hash)
{
	work **link = &folder->works[hash & (WORK_BUCKETS - 1)];
	while (*link != NULL) {
		work *w = *link;
		if (w->hash == hash && w->type == type &&
		    busp_row_compare(type, w->row, key) == 0) {
			break;
		}
		link = &w->next;
	}
	return link;
}

bus_found
bus_fold_get(bus_fold *fold, const bus_row_type *type, const void *key_row,
	     const void **ret_row)
{
	bus_folder *folder = fold->folder;
	const void *key = own_key(fold, type, key_row);
	const work *w = *find_work(folder, type, key, busp_row_hash(type, key));
	if (w != NULL) {
		*ret_row = w->row;
		return BUS_FOUND;
	}
	if (busp_cache_get(folder->cache, type, key, ret_row)) {
		return *ret_row != NULL ? BUS_FOUND : BUS_ABSENT;
	}
	size_t table = table_of(folder, type);
	missing *m = bus_arena_alloc(folder->arena, sizeof(*m));
	*m = (missing){ .next = folder->missing[table], .key = key };
	folder->missing[table] = m;
	folder->missing_counts[table]++;
	fold->waits = true;
	*ret_row = NULL;
	return BUS_WAIT;
}

void
bus_fold_put(bus_fold *fold, const bus_row_type *type, const void *row)
{
	staged *s = bus_arena_alloc(fold->folder->arena, sizeof(*s));
	char *copy = own_key(fold, type, row);
	for (size_t i = 0; i < type->column_count; i++) {
		const bus_column *column = &type->columns[i];
		if (column->type == BUS_COL_TEXT || column->type == BUS_COL_JSON ||
		    column->type == BUS_COL_BYTES) {
			bus_str *text = (bus_str *)(void *)(copy + column->offset);
			*text = bus_arena_str(fold->folder->arena, *text);
		}
	}
	*s = (staged){ .type = type, .row = copy };
	*fold->puts_tail = s;
	fold->puts_tail = &s->next;
}

bus_arena *
bus_fold_arena(bus_fold *fold)
{
	return fold->folder->arena;
}

bus_verdict
bus_fold_wait(bus_fold *fold)
{
	fold->waits = true;
	return BUS_IGNORED;
}

static bus_str
format_reason(bus_fold *fold, const char *format, va_list args)
{
	char text[512];
	int len = vsnprintf(text, sizeof(text), format, args);
	size_t kept = len < 0                    ? 0 :
		      (size_t)len < sizeof(text) ? (size_t)len :
						   sizeof(text) - 1;
	while (kept > 0 && !bus_utf8_valid((bus_str){ text, kept })) {
		kept--; /* a character cut in two */
	}
	return bus_arena_str(fold->folder->arena, (bus_str){ text, kept });
}

bus_verdict
bus_fold_ignore(bus_fold *fold, const char *reason, ...)
{
	va_list args;
	va_start(args, reason);
	fold->reason = format_reason(fold, reason, args);
	va_end(args);
	return BUS_IGNORED;
}

bus_verdict
bus_fold_reject(bus_fold *fold, const char *reason, ...)
{
	va_list args;
	va_start(args, reason);
	fold->reason = format_reason(fold, reason, args);
	va_end(args);
	return BUS_REJECTED;
}

/* One more in an array of the arena. It is short: most causes have none, some one. */
static void *
append(bus_arena *arena, const void *rows, size_t count, size_t row_bytes)
{
	char *grown = bus_arena_alloc(arena, (count + 1) * row_bytes);
	if (count > 0) {
		memcpy(grown, rows, count * row_bytes);
	}
	return grown;
}

static void
add_timer(bus_fold *fold, bus_str name, bool cancelled, int64_t delay_ms)
{
	bus_fold_item *item = fold->item;
	bus_arena *arena = fold->folder->arena;
	if (name.len == 0 || name.len > TIMER_NAME_MAX) {
		fprintf(stderr, "busline: worker %s names a timer with %zu bytes\n",
			fold->folder->worker->name, name.len);
		abort();
	}
	if (delay_ms < 0) {
		delay_ms = 0;
	} else if (delay_ms > BUS_TIMER_DELAY_MS_MAX) {
		delay_ms = BUS_TIMER_DELAY_MS_MAX;
	}
	item->timers =
		append(arena, item->timers, item->timer_count, sizeof(*item->timers));
	item->timers[item->timer_count++] = (bus_timer_write){
		.name = bus_arena_str(arena, name),
		.cancelled = cancelled,
		.delay_ms = delay_ms,
		.cause = item->event,
	};
}

void
bus_fold_timer_set(bus_fold *fold, bus_str name, int64_t delay_ms)
{
	add_timer(fold, name, false, delay_ms);
}

void
bus_fold_timer_cancel(bus_fold *fold, bus_str name)
{
	add_timer(fold, name, true, 0);
}

static void
add_incident(bus_fold *fold, const char *kind, bool closed, bus_str text)
{
	bus_fold_item *item = fold->item;
	bus_arena *arena = fold->folder->arena;
	item->incidents = append(arena, item->incidents, item->incident_count,
				 sizeof(*item->incidents));
	item->incidents[item->incident_count++] = (bus_incident_write){
		.kind = kind,
		.closed = closed,
		.text = bus_arena_str(arena, text),
		.cause = item->event,
	};
}

void
bus_fold_incident_open(bus_fold *fold, const char *kind, bus_str detail)
{
	add_incident(fold, kind, false, detail);
}

void
bus_fold_incident_close(bus_fold *fold, const char *kind, bus_str reason)
{
	add_incident(fold, kind, true, reason);
}

static bus_str
json_text(json_t *data, bus_arena *arena)
{
	char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text == NULL) {
		fputs("busline: out of memory for a follow-up event\n", stderr);
		abort();
	}
	bus_str copy = bus_arena_str(arena, bus_str_from(text));
	free(text);
	return copy;
}

/* An empty text says that there is none. */
static bus_str
some(bus_str text)
{
	return text.len > 0 ? text : BUS_STR_NULL;
}

void
bus_fold_emit(bus_fold *fold, const bus_follow_up *follow_up)
{
	bus_folder *folder = fold->folder;
	bus_fold_item *item = fold->item;
	const bus_event *cause = item->event;
	bus_arena *arena = folder->arena;
	bus_uuid id = bus_uuid_derive(cause->time_us, cause->source, cause->id,
				      bus_str_from(folder->worker->name),
				      bus_str_from(follow_up->step));
	char id_text[BUS_UUID_TEXT_LEN + 1], time_text[BUS_TIME_TEXT_MAX];
	bus_uuid_format(&id, id_text);
	size_t time_len = bus_time_format(cause->time_us, time_text);

	bus_event event = {
		.id = bus_arena_str(arena, (bus_str){ id_text, BUS_UUID_TEXT_LEN }),
		.source = folder->source_name,
		.type = bus_str_from(follow_up->type),
		.subject = follow_up->subject.data != NULL ? follow_up->subject :
							     cause->subject,
		.datacontenttype = BUS_STR("application/json"),
		.time = bus_arena_str(arena, (bus_str){ time_text, time_len }),
		.time_us = cause->time_us,
		.tenant = cause->tenant,
		.actor = cause->actor,
		.correlationid = cause->correlationid.data != NULL ?
					 cause->correlationid :
					 cause->id,
		.causationid = cause->id,
		.traceparent = cause->traceparent,
		.sagaid = cause->sagaid,
		.sagastep = cause->sagastep,
		.data = json_text(follow_up->data, arena),
	};
	if (follow_up->sagaid.data != NULL) {
		event.sagaid = some(follow_up->sagaid);
		event.sagastep = some(follow_up->sagastep);
	}

	item->follow_ups = append(arena, item->follow_ups, item->follow_up_count,
				  sizeof(*item->follow_ups));
	bus_outbox_row *row = &item->follow_ups[item->follow_up_count++];
	const char *topic =
		follow_up->topic != NULL ? follow_up->topic : folder->worker->topic;
	row->kind = BUS_OUTBOX_FOLLOW_UP;
	row->topic = bus_str_from(topic);
	bus_error err = BUS_ERROR_INIT;
	if (bus_event_write(&event, BUS_MODE_BINARY, arena, &row->record, &err) !=
	    BUS_OK) {
		fprintf(stderr, "busline: worker %s made a wrong event: %s\n",
			folder->worker->name, err.text);
		abort();
	}
	bus_outbox_row answer;
	busp_teller teller = bus_folder_teller(folder);
	if (busp_answer_promised(&teller, &event, follow_up->data, topic, arena, &answer,
				 &item->answered)) {
		item->follow_ups = append(arena, item->follow_ups, item->follow_up_count,
					  sizeof(*item->follow_ups));
		item->follow_ups[item->follow_up_count++] = answer;
	}
	json_decref(follow_up->data);
}

/* ---- the run ---- */

static void
apply(bus_folder *folder, const staged *put)
{
	uint64_t hash = busp_row_hash(put->type, put->row);
	work **link = find_work(folder, put->type, put->row, hash);
	if (*link != NULL) {
		(*link)->row = put->row;
		return;
	}
	work *w = bus_arena_alloc(folder->arena, sizeof(*w));
	*w = (work){ .type = put->type, .hash = hash, .row = put->row };
	*link = w;
	folder->work_counts[table_of(folder, put->type)]++;
}

/* What an event's fold has promised so far is void: it did not run yet, or not to its end. */
static void
nothing_promised(bus_fold_item *item)
{
	item->follow_ups = NULL;
	item->follow_up_count = 0;
	item->timers = NULL;
	item->timer_count = 0;
	item->incidents = NULL;
	item->incident_count = 0;
	item->answered = false;
}

/* False if it has to wait for rows. */
static bool
fold_one(bus_folder *folder, bus_fold_item *item)
{
	bus_fold_fn fn = NULL;
	for (const bus_handler *h = folder->worker->handlers; h->type != NULL; h++) {
		if (bus_str_is(item->event->type, h->type)) {
			fn = h->fold;
			break;
		}
	}
	bus_fold fold = { .folder = folder, .item = item };
	fold.puts_tail = &fold.puts;
	nothing_promised(item);
	bus_verdict verdict =
		fn == NULL ? bus_fold_ignore(&fold, "worker %s has no use for this type",
					     folder->worker->name) :
			     fn(&fold, item->event, item->data);
	if (fold.waits) {
		nothing_promised(item);
		return false;
	}
	item->verdict = verdict;
	item->reason = fold.reason;
	if (verdict == BUS_APPLIED) {
		for (const staged *s = fold.puts; s != NULL; s = s->next) {
			apply(folder, s);
		}
	}
	return true;
}

static uint64_t
hash_key(const bus_event *event)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	const bus_str parts[] = { event->tenant, BUS_STR("/"), event->subject };
	for (size_t p = 0; p < 3; p++) {
		for (size_t i = 0; i < parts[p].len; i++) {
			hash = (hash ^ (unsigned char)parts[p].data[i]) *
			       UINT64_C(0x100000001b3);
		}
	}
	return hash ^ (hash >> 31);
}

/* An absent subject and an empty one make the same key. */
static bool
same_key(const bus_event *a, const bus_event *b)
{
	return a->tenant.len == b->tenant.len && a->subject.len == b->subject.len &&
	       memcmp(a->tenant.data, b->tenant.data, a->tenant.len) == 0 &&
	       (a->subject.len == 0 ||
		memcmp(a->subject.data, b->subject.data, a->subject.len) == 0);
}

/* Chains the items of each key; the groups come out in order of first appearance. */
static key_group *
group_by_key(bus_fold_item *items, size_t count, bus_arena *arena)
{
	key_group **buckets = bus_arena_alloc(arena, KEY_BUCKETS * sizeof(*buckets));
	key_group *first = NULL, **tail = &first;
	for (size_t i = 0; i < count; i++) {
		bus_fold_item *item = &items[i];
		item->next = NULL;
		uint64_t hash = hash_key(item->event);
		key_group **link = &buckets[hash & (KEY_BUCKETS - 1)];
		while (*link != NULL && !((*link)->hash == hash &&
					  same_key((*link)->head->event, item->event))) {
			link = &(*link)->next_in_bucket;
		}
		if (*link == NULL) {
			key_group *group = bus_arena_alloc(arena, sizeof(*group));
			*group = (key_group){ .hash = hash, .head = item, .tail = item };
			*link = group;
			*tail = group;
			tail = &group->next;
			continue;
		}
		(*link)->tail->next = item;
		(*link)->tail = item;
	}
	return first;
}

/* Loads what the last pass found missing, one query per table. */
static bus_status
load_missing(bus_folder *folder, bus_error *err)
{
	bool loaded = false;
	for (size_t t = 0; t < folder->table_count; t++) {
		size_t count = folder->missing_counts[t];
		if (count == 0) {
			continue;
		}
		loaded = true;
		const bus_row_type *type = folder->worker->tables[t];
		const void **keys = bus_arena_alloc(folder->arena, count * sizeof(*keys));
		size_t n = 0;
		for (const missing *m = folder->missing[t]; m != NULL; m = m->next) {
			keys[n++] = m->key;
		}
		folder->missing[t] = NULL;
		folder->missing_counts[t] = 0;
		void *rows = NULL;
		size_t row_count = 0;
		bus_status status =
			folder->source.load(folder->source.ctx, type, keys, count,
					    folder->arena, &rows, &row_count, err);
		if (status != BUS_OK) {
			return status;
		}
		for (size_t i = 0; i < count; i++) {
			busp_cache_put_absent(folder->cache, type, keys[i]);
		}
		for (size_t i = 0; i < row_count; i++) {
			busp_cache_put(folder->cache, type, (char *)rows + i * type->size);
		}
	}
	if (!loaded) {
		fprintf(stderr, "busline: a fold of worker %s waits for no row\n",
			folder->worker->name);
		abort();
	}
	return BUS_OK;
}

static int
compare_rows(const void *a, const void *b, void *type)
{
	return busp_row_compare(type, *(void *const *)a, *(void *const *)b);
}

static void
collect_writes(bus_folder *folder)
{
	const void **rows[TABLES_MAX];
	size_t filled[TABLES_MAX] = { 0 };
	for (size_t t = 0; t < folder->table_count; t++) {
		rows[t] = bus_arena_alloc(folder->arena,
					  (folder->work_counts[t] + 1) * sizeof(void *));
	}
	for (size_t b = 0; b < WORK_BUCKETS; b++) {
		for (const work *w = folder->works[b]; w != NULL; w = w->next) {
			size_t t = table_of(folder, w->type);
			rows[t][filled[t]++] = w->row;
		}
	}
	for (size_t t = 0; t < folder->table_count; t++) {
		if (filled[t] == 0) {
			continue;
		}
		const bus_row_type *type = folder->worker->tables[t];
		qsort_r(rows[t], filled[t], sizeof(void *), compare_rows,
			(void *)(uintptr_t)type);
		folder->writes[folder->write_count++] = (bus_unit_write){
			.type = type,
			.rows = rows[t],
			.count = filled[t],
		};
	}
}

bus_status
bus_folder_run(bus_folder *folder, bus_fold_item *items, size_t count, bus_arena *arena,
	       bus_error *err)
{
	folder->arena = arena;
	memset(folder->works, 0, sizeof(folder->works));
	memset(folder->work_counts, 0, sizeof(folder->work_counts));
	folder->write_count = 0;
	/* A run whose source failed leaves keys behind; what they point at is gone. */
	memset(folder->missing, 0, sizeof(folder->missing));
	memset(folder->missing_counts, 0, sizeof(folder->missing_counts));
	/* Between batches, never within one: a row that was loaded stays until it is used. */
	if (busp_cache_count(folder->cache) > folder->rows_max) {
		busp_cache_clear(folder->cache);
	}
	key_group *waiting = group_by_key(items, count, arena);
	while (waiting != NULL) {
		key_group *still = NULL, **tail = &still;
		for (key_group *group = waiting; group != NULL; group = group->next) {
			while (group->head != NULL && fold_one(folder, group->head)) {
				group->head = group->head->next;
			}
			if (group->head != NULL) {
				*tail = group;
				tail = &group->next;
			}
		}
		*tail = NULL;
		waiting = still;
		if (waiting != NULL) {
			bus_status status = load_missing(folder, err);
			if (status != BUS_OK) {
				return status;
			}
		}
	}
	collect_writes(folder);
	return BUS_OK;
}

void
bus_folder_writes(bus_folder *folder, const bus_unit_write **ret_writes, size_t *ret_count)
{
	*ret_writes = folder->writes;
	*ret_count = folder->write_count;
}

void
bus_folder_keep(bus_folder *folder)
{
	for (size_t w = 0; w < folder->write_count; w++) {
		for (size_t i = 0; i < folder->writes[w].count; i++) {
			busp_cache_put(folder->cache, folder->writes[w].type,
				       folder->writes[w].rows[i]);
		}
	}
	folder->write_count = 0;
}

void
bus_folder_forget(bus_folder *folder)
{
	busp_cache_clear(folder->cache);
	folder->write_count = 0;
}
