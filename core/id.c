/*
 * id.c - UUIDs and identity keys
 *
 * DESIGN
 * UUIDv7: 48 bits of milliseconds, 16 bits of counter (RFC 9562 section 6.2 method 1: the
 * 12 bits of rand_a and the first 4 of rand_b), 58 bits of randomness. Milliseconds and
 * counter are one atomic 64-bit number that only grows: no lock that a fork could copy
 * while it is held, and a counter that overflows borrows the next millisecond. The random
 * bits come from the kernel each time: nothing buffered that a child would repeat.
 */
#include "core/id.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/digest.h"
#include "core/memory.h"

#define BUSP_MS_MASK ((UINT64_C(1) << 48) - 1)
/* A new millisecond starts its counter at random below this: hard to guess, and more
 * than 60,000 ids are left in it. */
#define BUSP_COUNTER_SEED_MASK UINT64_C(0x0fff)

/* Of this thread: making one costs more than hashing an id. */
static pthread_key_t busp_hasher_key;
static pthread_once_t busp_hasher_once = PTHREAD_ONCE_INIT;
static _Thread_local bus_hasher *busp_hasher;

static void
busp_hasher_drop(void *hasher)
{
	busp_hasher = NULL;
	bus_hasher_destroy(hasher);
}

static void
busp_hasher_key_create(void)
{
	if (pthread_key_create(&busp_hasher_key, busp_hasher_drop) != 0) {
		busp_memory_short("a thread key", sizeof(busp_hasher_key));
	}
}

static bus_hasher *
busp_hasher_begun(void)
{
	if (busp_hasher == NULL) {
		pthread_once(&busp_hasher_once, busp_hasher_key_create);
		busp_hasher = bus_hasher_create();
		pthread_setspecific(busp_hasher_key, busp_hasher);
	}
	bus_hasher_begin(busp_hasher);
	return busp_hasher;
}

static uint64_t
busp_uuid_ms(int64_t time_us)
{
	return time_us > 0 ? (uint64_t)(time_us / 1000) & BUSP_MS_MASK : 0;
}

static void
busp_uuid_stamp(bus_uuid *uuid, uint64_t ms, uint8_t version)
{
	for (int i = 0; i < 6; i++) {
		uuid->bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	}
	uuid->bytes[6] = (uint8_t)(version << 4 | (uuid->bytes[6] & 0x0f));
	uuid->bytes[8] = (uint8_t)(0x80 | (uuid->bytes[8] & 0x3f));
}

static bool
busp_random(void *ret_bytes, size_t len)
{
	ssize_t got;
	do {
		got = getrandom(ret_bytes, len, 0);
	} while (got < 0 && errno == EINTR);
	/* up to 256 bytes come whole (random(7)) */
	return got == (ssize_t)len;
}

/* Milliseconds << 16 | counter, greater than any before. */
static uint64_t
busp_uuid_tick(uint64_t ms, uint64_t seed)
{
	static _Atomic uint64_t last;
	uint64_t seen = atomic_load_explicit(&last, memory_order_relaxed);
	uint64_t next;
	do {
		uint64_t fresh = ms << 16 | (seed & BUSP_COUNTER_SEED_MASK);
		next = seen >> 16 < ms ? fresh : seen + 1;
	} while (!atomic_compare_exchange_weak_explicit(&last, &seen, next,
							memory_order_relaxed,
							memory_order_relaxed));
	return next;
}

bus_status
bus_uuid_v7(const bus_clock *clock, bus_uuid *ret_uuid, bus_error *err)
{
	bus_uuid uuid;
	if (!busp_random(uuid.bytes, sizeof(uuid.bytes))) {
		return bus_error_set(err, BUS_E_FATAL, "id", errno,
				     "the kernel gives no randomness for an id");
	}
	uint64_t seed = (uint64_t)uuid.bytes[0] << 8 | uuid.bytes[1];
	uint64_t tick = busp_uuid_tick(busp_uuid_ms(bus_clock_wall_us(clock)), seed);
	uuid.bytes[6] = (uint8_t)(tick >> 12 & 0x0f);
	uuid.bytes[7] = (uint8_t)(tick >> 4);
	uuid.bytes[8] = (uint8_t)((tick & 0x0f) << 2 | (uuid.bytes[8] & 0x03));
	busp_uuid_stamp(&uuid, tick >> 16, 7);
	*ret_uuid = uuid;
	return BUS_OK;
}

bus_uuid
bus_uuid_derive(int64_t cause_time_us, bus_str cause_source, bus_str cause_id,
		bus_str worker, bus_str step)
{
	bus_hasher *hasher = busp_hasher_begun();
	bus_hasher_field(hasher, cause_source);
	bus_hasher_field(hasher, cause_id);
	bus_hasher_field(hasher, worker);
	bus_hasher_field(hasher, step);
	bus_digest digest = bus_hasher_end(hasher);

	bus_uuid uuid;
	memcpy(uuid.bytes, digest.bytes, sizeof(uuid.bytes));
	busp_uuid_stamp(&uuid, busp_uuid_ms(cause_time_us), 8);
	return uuid;
}

bus_uuid
bus_identity_key(bus_str source, bus_str id)
{
	bus_hasher *hasher = busp_hasher_begun();
	bus_hasher_field(hasher, source);
	bus_hasher_field(hasher, id);
	bus_digest digest = bus_hasher_end(hasher);

	bus_uuid key;
	memcpy(key.bytes, digest.bytes, sizeof(key.bytes));
	bus_uuid uuid;
	if (bus_uuid_parse(id, &uuid) && (uuid.bytes[8] & 0xc0) == 0x80 &&
	    (uuid.bytes[6] >> 4 == 7 || uuid.bytes[6] >> 4 == 8)) {
		memcpy(key.bytes, uuid.bytes, 6);
	}
	return key;
}

/* Is there a hyphen before this byte in the canonical form? */
static bool
busp_uuid_hyphen(int byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void
bus_uuid_format(const bus_uuid *uuid, char ret_text[BUS_UUID_TEXT_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	char *to = ret_text;
	for (int i = 0; i < BUS_UUID_BYTES; i++) {
		if (busp_uuid_hyphen(i)) {
			*to++ = '-';
		}
		*to++ = hex[uuid->bytes[i] >> 4];
		*to++ = hex[uuid->bytes[i] & 15];
	}
	*to = '\0';
}

static int
busp_hex(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
bus_uuid_parse(bus_str text, bus_uuid *ret_uuid)
{
	if (text.data == NULL || text.len != BUS_UUID_TEXT_LEN) {
		return false;
	}
	bus_uuid uuid;
	const char *from = text.data;
	for (int i = 0; i < BUS_UUID_BYTES; i++) {
		if (busp_uuid_hyphen(i) && *from++ != '-') {
			return false;
		}
		int high = busp_hex(from[0]);
		int low = busp_hex(from[1]);
		if (high < 0 || low < 0) {
			return false;
		}
		uuid.bytes[i] = (uint8_t)(high << 4 | low);
		from += 2;
	}
	*ret_uuid = uuid;
	return true;
}
