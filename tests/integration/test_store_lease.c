/*
 * test_store_lease.c - leases, the relays' shards, and incidents
 */
#include <stdio.h>

#include "tests/integration/store_kit.h"

#define ALL ((bus_relay_shards)0xffff)

static bus_store *relay;
static bus_relay_part part;
static const char *const relays[] = { "test", "b", "c", "d" };

/* Says that a relay lives, which knows its part. */
static bus_relay_part
renew(const char *holder, bus_relay_shards given)
{
	bus_relay_part answer = { 0 };
	KIT_OK(bus_store_relay_renew(relay, holder, 60000, given, &answer, kit_error()));
	return answer;
}

static bus_relay_shards
shards_of(const bus_relay_part *of)
{
	bus_relay_shards shards = 0;
	for (int i = 0; i < BUS_RELAY_SHARDS; i++) {
		shards |= of->epochs[i] != 0 ? (bus_relay_shards)1 << i : 0;
	}
	return shards;
}

/* The only relay there is. */
static void
relay_begin(void)
{
	relay = kit_store("busline_worker");
	kit_sql("DELETE FROM busline.relay");
	part = renew("test", 0);
	CU_ASSERT_EQUAL(shards_of(&part), ALL);
	CU_ASSERT_EQUAL(part.share, BUS_RELAY_SHARDS);
	CU_ASSERT_EQUAL(part.others_ms, INT64_MAX);
}

/* Gives up what it has too much of. */
static bus_relay_part
give_surplus(const char *holder)
{
	bus_relay_part has = renew(holder, 0);
	bus_relay_shards ours = shards_of(&has), given = 0;
	for (int s = 0; __builtin_popcount(ours) > has.share; s++) {
		given |= ours & (bus_relay_shards)1 << s;
		ours &= ~((bus_relay_shards)1 << s);
	}
	bus_relay_part left = renew(holder, given);
	CU_ASSERT_EQUAL(shards_of(&left), ours);
	return left;
}

/* All have their share, all shards have one relay, and what somebody kept has the epoch it
 * had. */
static void
check_shares(bus_relay_part *parts, size_t living)
{
	bus_relay_shards all = 0;
	int total = 0, least = BUS_RELAY_SHARDS / (int)living;
	for (size_t i = 0; i < living; i++) {
		bus_relay_part before = parts[i];
		parts[i] = renew(relays[i], 0);
		int mine = __builtin_popcount(shards_of(&parts[i]));
		CU_ASSERT_EQUAL(mine, parts[i].share);
		CU_ASSERT_TRUE(mine == least || mine == least + 1);
		CU_ASSERT_EQUAL(all & shards_of(&parts[i]), 0);
		all |= shards_of(&parts[i]);
		total += mine;
		for (int s = 0; s < BUS_RELAY_SHARDS; s++) {
			CU_ASSERT_TRUE(before.epochs[s] == 0 ||
				       before.epochs[s] == parts[i].epochs[s]);
		}
	}
	CU_ASSERT_EQUAL(total, BUS_RELAY_SHARDS);
	CU_ASSERT_EQUAL(all, ALL);
}

/* They come one by one. Whoever has too much gives it up, and then all have their share. */
static void
four_relays(bus_relay_part *ret_parts)
{
	relay_begin();
	ret_parts[0] = part;
	for (size_t living = 2; living <= 4; living++) {
		bus_relay_part *youngest = &ret_parts[living - 1];
		*youngest = renew(relays[living - 1], 0);
		CU_ASSERT_EQUAL(shards_of(youngest), 0); /* nothing is free yet */
		CU_ASSERT_TRUE(youngest->others_ms > 50000);
		for (size_t i = 0; i < living; i++) {
			ret_parts[i] = give_surplus(relays[i]);
		}
		check_shares(ret_parts, living);
	}
}

/* One is dead, one leaves: theirs go to the others, under new epochs. */
static void
test_share(void)
{
	bus_relay_part parts[4];
	four_relays(parts);
	bus_relay_shards dead = shards_of(&parts[1]), left = shards_of(&parts[2]);
	kit_sql("UPDATE busline.relay SET expires_at = now() - interval '1 s' "
		"WHERE holder = 'b'");
	KIT_OK(bus_store_relay_leave(relay, "c", kit_error()));
	bus_relay_part first = renew("test", 0), last = renew("d", 0);
	CU_ASSERT_EQUAL(__builtin_popcount(shards_of(&first)), 8);
	CU_ASSERT_EQUAL(shards_of(&first) | shards_of(&last), ALL);
	for (int s = 0; s < BUS_RELAY_SHARDS; s++) {
		int64_t before = (dead >> s & 1) != 0 ? parts[1].epochs[s] :
				 (left >> s & 1) != 0 ? parts[2].epochs[s] :
							0;
		CU_ASSERT_TRUE(before == 0 ||
			       first.epochs[s] + last.epochs[s] == before + 1);
	}
	/* The dead one wakes up: it has nothing, and a share of what the others give up. */
	bus_relay_part woken = renew("b", 0);
	CU_ASSERT_EQUAL(shards_of(&woken), 0);
	CU_ASSERT_EQUAL(woken.share, 5);
	/* Nobody may give up what another has. */
	(void)renew("b", ALL);
	first = renew("test", 0);
	CU_ASSERT_EQUAL(__builtin_popcount(shards_of(&first)), 8);
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT string_agg(concat_ws('|', holder, shard_count, alive), ' ' "
			"ORDER BY holder) FROM busline.relays"),
		"b|0|t d|8|t test|8|t");
	/* Late, but nobody came: still its own. */
	kit_sql("DELETE FROM busline.relay WHERE holder IN ('b', 'd')");
	kit_sql("UPDATE busline.relay SET expires_at = now() - interval '1 s'");
	bus_relay_part again = renew("test", 0);
	for (int s = 0; s < BUS_RELAY_SHARDS; s++) {
		CU_ASSERT_TRUE(first.epochs[s] == 0 || first.epochs[s] == again.epochs[s]);
	}
	CU_ASSERT_EQUAL(shards_of(&again), ALL);
	bus_store_destroy(relay);
}

/* More relays than shards: the youngest stand by. */
static void
test_many(void)
{
	char name[8];
	relay_begin();
	for (int i = 0; i < 18; i++) {
		snprintf(name, sizeof(name), "m%02d", i);
		(void)renew(name, 0);
	}
	KIT_OK(bus_store_relay_leave(relay, "test", kit_error()));
	int total = 0;
	for (int i = 0; i < 18; i++) {
		snprintf(name, sizeof(name), "m%02d", i);
		bus_relay_part one = renew(name, 0);
		CU_ASSERT_EQUAL(one.share, i < 16 ? 1 : 0);
		CU_ASSERT_EQUAL(__builtin_popcount(shards_of(&one)), one.share);
		total += one.share;
	}
	CU_ASSERT_EQUAL(total, BUS_RELAY_SHARDS);
	bus_store_destroy(relay);
}

static void
test_lease(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_lease a = { 0 };
	bus_lease b = { 0 };
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 0, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 1);
	CU_ASSERT_STRING_EQUAL(a.holder, "a");
	KIT_OK(bus_store_lease(store, "kit", "b", 60000, 0, &b, kit_error()));
	CU_ASSERT_EQUAL(b.epoch, 0);
	CU_ASSERT_STRING_EQUAL(b.holder, "a");
	CU_ASSERT_TRUE(b.left_ms > 50000 && b.left_ms <= 60000);
	/* renewed */
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, a.epoch, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 1);
	/* a process of the same name that does not know the epoch is another one */
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 0, &b, kit_error()));
	CU_ASSERT_EQUAL(b.epoch, 0);
	/* over: taken, with another epoch; the old holder is out */
	kit_sql("UPDATE busline.lease SET expires_at = now() - interval '1 s' WHERE name = 'kit'");
	KIT_OK(bus_store_lease(store, "kit", "b", 60000, 0, &b, kit_error()));
	CU_ASSERT_EQUAL(b.epoch, 2);
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 1, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 0);
	/* over, but nobody came: still ours */
	kit_sql("UPDATE busline.lease SET expires_at = now() - interval '1 s' WHERE name = 'kit'");
	KIT_OK(bus_store_lease(store, "kit", "b", 60000, 2, &b, kit_error()));
	CU_ASSERT_EQUAL(b.epoch, 2);
	/* given back by the wrong one: nothing; by the holder: free at once */
	KIT_OK(bus_store_lease_release(store, "kit", 1, kit_error()));
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 0, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 0);
	KIT_OK(bus_store_lease_release(store, "kit", 2, kit_error()));
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 0, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 3);
	bus_store_destroy(store);
}

static void
test_incident(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_incident incident = { "offset-gap", "kit.incident", 3, 17, BUS_STR("first") };
	KIT_OK(bus_store_incident(store, &incident, kit_error()));
	incident.offset = 18;
	incident.detail = BUS_STR("second");
	KIT_OK(bus_store_incident(store, &incident, kit_error()));
	const char *all =
		"SELECT string_agg(concat_ws('|', kind, partition, \"offset\", detail, "
		"count, closed_by), ' ' ORDER BY id) FROM busline.incident "
		"WHERE topic = 'kit.incident'";
	CU_ASSERT_STRING_EQUAL(kit_sql("%s", all), "offset-gap|3|18|second|2");
	kit_sql("UPDATE busline.incident SET closed_at = now(), closed_by = 'me'");
	KIT_OK(bus_store_incident(store, &incident, kit_error()));
	incident.partition = 4;
	KIT_OK(bus_store_incident(store, &incident, kit_error()));
	CU_ASSERT_STRING_EQUAL(kit_sql("%s", all), "offset-gap|3|18|second|2|me "
						   "offset-gap|3|18|second|1 "
						   "offset-gap|4|18|second|1");
	bus_store_destroy(store);
}

static const bus_case cases[] = {
	{ "relays that live have equal shares, each shard one relay", test_share },
	{ "more relays than shards", test_many },
	{ "a lease has one holder, and a new epoch for each", test_lease },
	{ "an incident is open once and counts", test_incident },
	{ 0 },
};

const bus_suite_def bus_suite = { "store: leases", cases, kit_setup, kit_teardown };
