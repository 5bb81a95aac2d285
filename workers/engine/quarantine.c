/*
 * quarantine.c - the held keys a worker knows, and how long a try waits
 */
#include "workers/engine/quarantine.h"

#include <stdlib.h>

#include "core/json.h"
#include "core/log.h"
#include "workers/engine/worker.h"

/* Keys are found through this many chains; there are few, or something is very wrong. */
#define BUCKETS 1024u

/* More tries than anybody would wait for. */
#define ATTEMPTS_MAX 1000000

typedef struct held {
	struct held *next;
	bus_held_key key;
	char texts[]; /* tenant and subject */
} held;

struct busp_quarantine {
	busp_retry retry;
	size_t count;
	held *buckets[BUCKETS];
};

/* splitmix64: neighbours come out far apart */
static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

int64_t
busp_retry_delay_ms(const busp_retry *retry, int32_t attempts, uint64_t seed)
{
	int64_t ceiling = retry->base_ms < retry->cap_ms ? retry->base_ms : retry->cap_ms;
	for (int32_t i = 1; i < attempts && ceiling < retry->cap_ms; i++) {
		ceiling = ceiling > retry->cap_ms / 2 ? retry->cap_ms : ceiling * 2;
	}
	return (int64_t)(mix(seed ^ mix((uint64_t)attempts)) % ((uint64_t)ceiling + 1));
}

busp_retry
busp_retry_of(const bus_config *config)
{
	int64_t attempts = bus_config_int(config, BUS_CONF_WORKER_ATTEMPTS);
	int64_t base_ms = bus_config_int(config, BUS_CONF_WORKER_RETRY_BASE_MS);
	int64_t cap_ms = bus_config_int(config, BUS_CONF_WORKER_RETRY_CAP_MS);
	return (busp_retry){
		.attempts_max = attempts < 1            ? 1 :
				attempts > ATTEMPTS_MAX ? ATTEMPTS_MAX :
							  (int32_t)attempts,
		.base_ms = base_ms < 0 ? 0 : base_ms,
		.cap_ms = cap_ms < 0                      ? 0 :
			  cap_ms > BUS_TIMER_DELAY_MS_MAX ? BUS_TIMER_DELAY_MS_MAX :
							    cap_ms,
	};
}

busp_quarantine *
busp_quarantine_create(const busp_retry *retry)
{
	busp_quarantine *quarantine = calloc(1, sizeof(*quarantine));
	if (quarantine != NULL) {
		quarantine->retry = *retry;
	}
	return quarantine;
}

static void
forget(busp_quarantine *quarantine)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		held *next;
		for (held *h = quarantine->buckets[i]; h != NULL; h = next) {
			next = h->next;
			free(h);
		}
		quarantine->buckets[i] = NULL;
	}
	quarantine->count = 0;
}

void
busp_quarantine_destroy(busp_quarantine *quarantine)
{
	if (quarantine != NULL) {
		forget(quarantine);
		free(quarantine);
	}
}

const busp_retry *
busp_quarantine_retry(const busp_quarantine *quarantine)
{
	return &quarantine->retry;
}

static bool
same(bus_str a, bus_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static size_t
bucket_of(int32_t stream, bus_str tenant, bus_str subject)
{
	uint64_t hash = (uint64_t)stream;
	const bus_str parts[] = { tenant, subject };
	for (size_t p = 0; p < 2; p++) {
		for (size_t i = 0; i < parts[p].len; i++) {
			hash = (hash ^ (unsigned char)parts[p].data[i]) *
			       UINT64_C(0x100000001b3);
		}
		hash = mix(hash);
	}
	return hash & (BUCKETS - 1);
}

/* The link that leads to the key, or to the end of its chain. */
static held *const *
link_of(const busp_quarantine *quarantine, int32_t stream, bus_str tenant, bus_str subject)
{
	held *const *link = &quarantine->buckets[bucket_of(stream, tenant, subject)];
	while (*link != NULL &&
	       !((*link)->key.stream == stream && same((*link)->key.tenant, tenant) &&
		 same((*link)->key.subject, subject))) {
		link = &(*link)->next;
	}
	return link;
}

const bus_held_key *
busp_quarantine_find(const busp_quarantine *quarantine, int32_t stream, bus_str tenant,
		     bus_str subject)
{
	if (quarantine->count == 0) {
		return NULL;
	}
	const held *h = *link_of(quarantine, stream, tenant, subject);
	return h != NULL ? &h->key : NULL;
}

static held *
copy_of(const bus_held_key *key)
{
	held *h = malloc(sizeof(*h) + key->tenant.len + key->subject.len + 1);
	if (h == NULL) {
		abort(); /* as arenas do: a key that is forgotten would overtake itself */
	}
	*h = (held){ .key = *key };
	if (key->tenant.len > 0) {
		memcpy(h->texts, key->tenant.data, key->tenant.len);
	}
	if (key->subject.len > 0) {
		memcpy(h->texts + key->tenant.len, key->subject.data, key->subject.len);
	}
	h->key.tenant = (bus_str){ h->texts, key->tenant.len };
	h->key.subject = (bus_str){ h->texts + key->tenant.len, key->subject.len };
	h->key.error = BUS_STR_NULL;
	return h;
}

void
busp_quarantine_put(busp_quarantine *quarantine, const bus_held_key *key)
{
	held *fresh = key->state == BUS_HOLD_FREE ? NULL : copy_of(key);
	held **link = (held **)(uintptr_t)link_of(quarantine, key->stream, key->tenant,
						  key->subject);
	held *old = *link;
	if (old != NULL) {
		*link = old->next;
		quarantine->count--;
	}
	if (fresh != NULL) {
		fresh->next = *link;
		*link = fresh;
		quarantine->count++;
	}
	free(old);
}

bus_status
busp_quarantine_load(busp_quarantine *quarantine, bus_store *store,
		     const int32_t *streams, size_t count, bus_error *err)
{
	bus_held_key *keys = NULL;
	size_t key_count = 0;
	bus_arena *arena = bus_arena_create(1u << 14);
	if (arena == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "engine", 0, "out of memory");
	}
	bus_status status =
		bus_store_held_keys(store, streams, count, arena, &keys, &key_count, err);
	if (status == BUS_OK) {
		forget(quarantine);
		for (size_t i = 0; i < key_count; i++) {
			busp_quarantine_put(quarantine, &keys[i]);
		}
	}
	bus_arena_destroy(arena);
	return status;
}

void
busp_lane_take_care(busp_lane *lane)
{
	const bus_stream *stream = &lane->stream;
	if (stream->idle_assignments >= BUSP_CAREFUL_ASSIGNMENTS ||
	    stream->tried_offset >= stream->next_offset) {
		lane->careful = BUSP_CAREFUL_EVENTS;
		BUS_LOG(BUS_LOG_WARN, "no owner has come further, events go one by one",
			BUS_LOG_I("partition", stream->partition),
			BUS_LOG_I("offset", stream->next_offset),
			BUS_LOG_I("assignments", stream->idle_assignments));
	}
}

busp_act
busp_act_of(bus_event *event)
{
	static const struct {
		const char *type;
		const char *timer; /* its name, or NULL */
		busp_act act;
	} acts[] = {
		{ BUS_TIMER_FIRED_TYPE, BUSP_TIMER_RETRY, BUSP_ACT_RETRY },
		{ BUS_TIMER_FIRED_TYPE, BUSP_TIMER_DRAIN, BUSP_ACT_DRAIN },
		{ "io.busline.dlq.redrive-requested.v1", NULL, BUSP_ACT_REDRIVE },
		{ "io.busline.dlq.edit-requested.v1", NULL, BUSP_ACT_EDIT },
		{ "io.busline.dlq.discard-requested.v1", NULL, BUSP_ACT_DISCARD },
	};
	json_t *data = NULL;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (!bus_str_is(event->type, acts[i].type)) {
			continue;
		}
		if (acts[i].timer == NULL) {
			return acts[i].act;
		}
		if (bus_event_data(event, &data, NULL) == BUS_OK && data != NULL &&
		    bus_str_is(bus_json_str(data, "name"), acts[i].timer)) {
			return acts[i].act;
		}
	}
	return BUSP_ACT_NONE;
}
