/*
 * test_nng_groups.c - who reads which partition, by hand and in thousands of histories
 */
#include "broker-adapters/nng/groups.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/suite.h"

#define SESSION_MS 1000
#define LONG_SESSION_MS 6000
#define PARTITIONS_MAX 13

static busp_groups *groups;
static int64_t session_ms = SESSION_MS;
static uint64_t connection; /* where requests come from; 0: each member has its own */

static busp_group_answer
ask(uint64_t member, busp_group_state state, uint64_t generation, int32_t partitions,
    int64_t now_ms)
{
	busp_group_answer answer;
	busp_groups_ask(groups,
			&(busp_group_request){
				.group = BUS_STR("g"),
				.topic = BUS_STR("t"),
				.member = member,
				.client = BUS_STR("client"),
				.session_ms = (uint32_t)session_ms,
				.state = state,
				.generation = generation,
			},
			partitions, connection != 0 ? connection : member, now_ms,
			&answer);
	return answer;
}

#define JOIN(member, now_ms) ask((member), BUSP_GROUP_JOINING, 0, 6, (now_ms))
#define HOLD(member, generation, now_ms)                                                 \
	ask((member), BUSP_GROUP_HOLDING, (generation), 6, (now_ms))
#define LEAVE(member, now_ms) ask((member), BUSP_GROUP_LEAVING, 0, 6, (now_ms))

static bool
has(const busp_group_answer *answer, int32_t partition)
{
	for (size_t i = 0; i < answer->partition_count; i++) {
		if (answer->partitions[i] == partition) {
			return true;
		}
	}
	return false;
}

static void
count_member(void *ctx, const char *group, const char *topic, uint64_t generation,
	     uint64_t member, const char *client, const int32_t *partitions, size_t count)
{
	size_t *counts = ctx;
	(void)group;
	(void)topic;
	(void)generation;
	(void)member;
	(void)client;
	(void)partitions;
	counts[0]++;
	counts[1] += count;
}

static void
test_alone(void)
{
	groups = busp_groups_create(7);
	busp_group_answer answer = JOIN(1, 0);
	CU_ASSERT_EQUAL(answer.verdict, BUSP_GROUP_ASSIGNED);
	CU_ASSERT_EQUAL(answer.partition_count, 6);
	CU_ASSERT_EQUAL(answer.generation >> 32, 7);
	uint64_t generation = answer.generation;
	CU_ASSERT_EQUAL(HOLD(1, generation, 10).verdict, BUSP_GROUP_GO_ON);
	/* the answer was lost: the same again */
	answer = JOIN(1, 20);
	CU_ASSERT_EQUAL(answer.verdict, BUSP_GROUP_ASSIGNED);
	CU_ASSERT_EQUAL(answer.generation, generation);
	CU_ASSERT_EQUAL(LEAVE(1, 30).verdict, BUSP_GROUP_GO_ON);
	CU_ASSERT_EQUAL(HOLD(1, generation, 40).verdict, BUSP_GROUP_LOST);
	size_t counts[2] = { 0 };
	busp_groups_each(groups, count_member, counts);
	CU_ASSERT_EQUAL(counts[0], 0);
	CU_ASSERT_EQUAL(busp_groups_due_ms(groups), INT64_MAX);
	/* nor is a generation ever given twice, when the group was forgotten in between */
	CU_ASSERT(JOIN(1, 50).generation > generation);
	busp_groups_destroy(groups);
}

static void
test_handover(void)
{
	groups = busp_groups_create(1);
	uint64_t first = JOIN(1, 0).generation;
	CU_ASSERT_EQUAL(JOIN(2, 0).verdict, BUSP_GROUP_GO_ON);
	/* who comes waits until who holds has given up */
	CU_ASSERT_EQUAL(HOLD(1, first, 1).verdict, BUSP_GROUP_GIVE_UP);
	CU_ASSERT_EQUAL(JOIN(2, 2).verdict, BUSP_GROUP_GO_ON);
	CU_ASSERT_EQUAL(HOLD(1, first, 3).verdict, BUSP_GROUP_GIVE_UP);
	busp_group_answer one = JOIN(1, 4);
	CU_ASSERT_EQUAL(one.verdict, BUSP_GROUP_ASSIGNED);
	CU_ASSERT(one.generation > first);
	CU_ASSERT_EQUAL(one.partition_count, 3);
	CU_ASSERT(has(&one, 0) && has(&one, 1) && has(&one, 2));
	busp_group_answer two = JOIN(2, 5);
	CU_ASSERT_EQUAL(two.verdict, BUSP_GROUP_ASSIGNED);
	CU_ASSERT(has(&two, 3) && has(&two, 4) && has(&two, 5));
	/* an old word of the first one is not taken for a new one */
	CU_ASSERT_EQUAL(HOLD(1, first, 6).verdict, BUSP_GROUP_LOST);
	CU_ASSERT_EQUAL(HOLD(2, two.generation, 7).verdict, BUSP_GROUP_GO_ON);
	busp_groups_destroy(groups);
}

static void
test_silence(void)
{
	groups = busp_groups_create(1);
	uint64_t first = JOIN(1, 0).generation;
	JOIN(2, 500);
	CU_ASSERT_EQUAL(busp_groups_due_ms(groups), SESSION_MS + 1);
	CU_ASSERT_FALSE(busp_groups_tick(groups, SESSION_MS));
	CU_ASSERT_EQUAL(JOIN(2, SESSION_MS).verdict, BUSP_GROUP_GO_ON);
	CU_ASSERT_TRUE(busp_groups_tick(groups, SESSION_MS + 1));
	busp_group_answer two = JOIN(2, SESSION_MS + 1);
	CU_ASSERT_EQUAL(two.verdict, BUSP_GROUP_ASSIGNED);
	CU_ASSERT_EQUAL(two.partition_count, 6);
	CU_ASSERT_EQUAL(HOLD(1, first, SESSION_MS + 2).verdict, BUSP_GROUP_LOST);
	/* asking again for a request that was kept is no sign of life */
	CU_ASSERT_EQUAL(JOIN(2, 500).verdict, BUSP_GROUP_ASSIGNED);
	CU_ASSERT_EQUAL(busp_groups_due_ms(groups), 2 * SESSION_MS + 2);
	busp_groups_destroy(groups);
}

/* The same without waiting for the session, when its connection ends. */
static void
test_connection_ends(void)
{
	static const struct {
		uint64_t ended;  /* the connection that ends, at 100 ms */
		int64_t back_ms; /* the member speaks on connection 9; 0: never */
		bool again;      /* and connection 1 ends after that once more */
		int64_t end_ms;  /* the last moment at which the member is not missed */
	} rows[] = {
		{ 1, 0, false, 100 + BUSP_GROUP_GRACE_MS },
		{ 2, 0, false, LONG_SESSION_MS },
		{ 1, 101, false, 101 + LONG_SESSION_MS },
		{ 1, 100 + BUSP_GROUP_GRACE_MS, true,
		  100 + BUSP_GROUP_GRACE_MS + LONG_SESSION_MS },
	};
	session_ms = LONG_SESSION_MS;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		groups = busp_groups_create(1);
		uint64_t first = JOIN(1, 0).generation;
		busp_groups_gone(groups, rows[i].ended, 100);
		if (rows[i].back_ms > 0) {
			CU_ASSERT_FALSE(busp_groups_tick(groups, rows[i].back_ms));
			connection = 9;
			CU_ASSERT_EQUAL(HOLD(1, first, rows[i].back_ms).verdict,
					BUSP_GROUP_GO_ON);
			connection = 0;
		}
		if (rows[i].again) {
			busp_groups_gone(groups, 1, rows[i].back_ms);
		}
		CU_ASSERT_EQUAL(busp_groups_due_ms(groups), rows[i].end_ms + 1);
		CU_ASSERT_FALSE(busp_groups_tick(groups, rows[i].end_ms));
		CU_ASSERT_TRUE(busp_groups_tick(groups, rows[i].end_ms + 1));
		CU_ASSERT_EQUAL(HOLD(1, first, rows[i].end_ms + 2).verdict,
				BUSP_GROUP_LOST);
		busp_groups_destroy(groups);
	}
	session_ms = SESSION_MS;
}

static void
test_earlier_boot(void)
{
	groups = busp_groups_create(1);
	uint64_t old = JOIN(1, 0).generation;
	busp_groups_destroy(groups);
	groups = busp_groups_create(2);
	CU_ASSERT_EQUAL(HOLD(1, old, 0).verdict, BUSP_GROUP_LOST);
	uint64_t fresh = JOIN(1, 0).generation;
	CU_ASSERT(fresh > old);
	CU_ASSERT_EQUAL(HOLD(1, old, 1).verdict, BUSP_GROUP_LOST);
	CU_ASSERT_EQUAL(HOLD(1, fresh, 1).verdict, BUSP_GROUP_GO_ON);
	busp_groups_destroy(groups);
}

/* All members give up and join until each has its share; how many partitions moved. */
static size_t
settle(uint64_t members, int32_t partitions, uint64_t *owners)
{
	size_t moved = 0;
	/* once for who is new, once more for all to give up what they were just given */
	for (uint64_t member = 1; member <= 2 * members; member++) {
		ask((member - 1) % members + 1, BUSP_GROUP_JOINING, 0, partitions, 0);
	}
	size_t least = SIZE_MAX, most = 0, sum = 0;
	for (uint64_t member = 1; member <= members; member++) {
		busp_group_answer answer =
			ask(member, BUSP_GROUP_JOINING, 0, partitions, 0);
		CU_ASSERT_EQUAL(answer.verdict, BUSP_GROUP_ASSIGNED);
		least = answer.partition_count < least ? answer.partition_count : least;
		most = answer.partition_count > most ? answer.partition_count : most;
		sum += answer.partition_count;
		for (size_t i = 0; i < answer.partition_count; i++) {
			moved += owners[answer.partitions[i]] != member;
			owners[answer.partitions[i]] = member;
		}
	}
	CU_ASSERT(most - least <= 1);
	CU_ASSERT_EQUAL(sum, (size_t)partitions);
	return moved;
}

static void
test_shares(void)
{
	for (int32_t partitions = 1; partitions <= PARTITIONS_MAX; partitions++) {
		uint64_t owners[PARTITIONS_MAX] = { 0 };
		groups = busp_groups_create(1);
		CU_ASSERT_EQUAL(settle(1, partitions, owners), (size_t)partitions);
		for (uint64_t members = 2; members <= PARTITIONS_MAX + 2; members++) {
			/* only what the new one gets may move */
			size_t moved = settle(members, partitions, owners);
			CU_ASSERT(moved <= (size_t)partitions / members + 1);
			CU_ASSERT_EQUAL(settle(members, partitions, owners), 0);
		}
		for (uint64_t members = PARTITIONS_MAX + 2; members > 1; members--) {
			size_t had = 0;
			for (int32_t i = 0; i < partitions; i++) {
				had += owners[i] == members;
			}
			ask(members, BUSP_GROUP_LEAVING, 0, partitions, 0);
			/* and only what the one that left had */
			CU_ASSERT_EQUAL(settle(members - 1, partitions, owners), had);
		}
		busp_groups_destroy(groups);
	}
}

static void
test_bounded(void)
{
	groups = busp_groups_create(1);
	for (uint64_t member = 1; member <= BUSP_GROUP_MEMBERS_MAX; member++) {
		ask(member, BUSP_GROUP_JOINING, 0, 1, 0);
	}
	size_t counts[2] = { 0 };
	busp_groups_each(groups, count_member, counts);
	CU_ASSERT_EQUAL(counts[0], BUSP_GROUP_MEMBERS_MAX);
	uint64_t late = BUSP_GROUP_MEMBERS_MAX + 1;
	CU_ASSERT_EQUAL(JOIN(late, 0).verdict, BUSP_GROUP_GO_ON);
	counts[0] = 0;
	busp_groups_each(groups, count_member, counts);
	CU_ASSERT_EQUAL(counts[0], BUSP_GROUP_MEMBERS_MAX);
	CU_ASSERT_TRUE(busp_groups_tick(groups, SESSION_MS + 1));
	counts[0] = 0;
	busp_groups_each(groups, count_member, counts);
	CU_ASSERT_EQUAL(counts[0], 0);
	CU_ASSERT_EQUAL(JOIN(late, SESSION_MS + 2).verdict, BUSP_GROUP_ASSIGNED);
	busp_groups_destroy(groups);
}

static void
test_names(void)
{
	static const char *const names[][2] = {
		{ "b", "t" }, { "a", "u" }, { "a", "t" }, { "ab", "t" }, { "a", "t2" },
	};
	groups = busp_groups_create(1);
	for (size_t i = 0; i < 5; i++) {
		busp_group_answer answer;
		busp_group_request request = { .group = bus_str_from(names[i][0]),
					       .topic = bus_str_from(names[i][1]),
					       .member = 1,
					       .session_ms = SESSION_MS };
		busp_groups_ask(groups, &request, 3, 1, 0, &answer);
		CU_ASSERT_EQUAL(answer.verdict, BUSP_GROUP_ASSIGNED);
		CU_ASSERT_EQUAL(answer.partition_count, 3);
	}
	size_t counts[2] = { 0 };
	busp_groups_each(groups, count_member, counts);
	CU_ASSERT_EQUAL(counts[0], 5);
	CU_ASSERT_EQUAL(counts[1], 15);
	busp_groups_destroy(groups);
}

/* A group is nothing but its members: names that are used once leave nothing behind. */
static void
test_forgotten(void)
{
	groups = busp_groups_create(1);
	size_t before = mallinfo2().uordblks;
	for (int i = 0; i < 5000; i++) {
		char name[32];
		busp_group_answer answer;
		snprintf(name, sizeof(name), "group-%d", i);
		busp_group_request request = { .group = bus_str_from(name),
					       .topic = BUS_STR("t"),
					       .member = 1,
					       .session_ms = SESSION_MS };
		busp_groups_ask(groups, &request, 3, 1, 0, &answer);
		if (i % 2 == 0) {
			request.state = BUSP_GROUP_LEAVING;
			busp_groups_ask(groups, &request, 3, 1, 0, &answer);
		} else {
			busp_groups_tick(groups, SESSION_MS + 1);
		}
	}
	CU_ASSERT(mallinfo2().uordblks - before < 4096);
	busp_groups_destroy(groups);
}

/* ---- thousands of histories ---- */

#define CLIENTS 6

/* A client that obeys: it stops when it is told to, and by itself when it was silent. */
typedef struct client {
	enum { OUT, JOINING, HOLDING, DRAINING } state;
	bool frozen;
	uint64_t member;
	uint64_t generation;
	uint64_t newest; /* of all it was ever given under this name */
	int64_t heard_ms;
	bool has[PARTITIONS_MAX];
} client;

static client clients[CLIENTS];
static uint64_t next_member;
static const char *broken;

static void
must(bool holds, const char *what)
{
	if (!holds && broken == NULL) {
		broken = what;
	}
}

static void
client_speak(client *self, int32_t partitions, int64_t now_ms)
{
	busp_group_state state =
		self->state == JOINING ? BUSP_GROUP_JOINING : BUSP_GROUP_HOLDING;
	busp_group_answer answer =
		ask(self->member, state, self->generation, partitions, now_ms);
	self->heard_ms = now_ms;
	switch (answer.verdict) {
	case BUSP_GROUP_GO_ON:
		must(self->state != DRAINING, "who was told to give up is told so again");
		break;
	case BUSP_GROUP_ASSIGNED:
		must(self->state == JOINING, "only who joins is assigned");
		must(answer.generation >= self->newest, "generations grow");
		self->state = HOLDING;
		self->generation = self->newest = answer.generation;
		memset(self->has, 0, sizeof(self->has));
		for (size_t i = 0; i < answer.partition_count; i++) {
			self->has[answer.partitions[i]] = true;
		}
		break;
	case BUSP_GROUP_GIVE_UP:
		must(self->state != JOINING, "who joins has nothing to give up");
		self->state = DRAINING;
		break;
	case BUSP_GROUP_LOST:
		must(self->state != JOINING, "who joins has nothing to lose");
		memset(self->has, 0, sizeof(self->has));
		self->state = JOINING;
		break;
	}
}

static void
client_act(client *self, int32_t partitions, int64_t now_ms)
{
	int dice = rand() % 100;
	if (self->frozen) {
		self->frozen = dice < 85;
		return;
	}
	if (self->state == OUT) {
		if (dice < 30) {
			*self = (client){ .state = JOINING,
					  .member = ++next_member,
					  .heard_ms = now_ms };
		}
	} else if (dice < 4) {
		ask(self->member, BUSP_GROUP_LEAVING, 0, partitions, now_ms);
		*self = (client){ .state = OUT };
	} else if (dice < 7) {
		/* died: the broker is not told, or sees that its connection ended */
		if (dice < 6) {
			busp_groups_gone(groups, self->member, now_ms);
		}
		*self = (client){ .state = OUT };
	} else if (dice < 10) {
		self->frozen = true;
	} else if (dice < 13) {
		busp_groups_gone(groups, self->member, now_ms);
		connection = self->member + (UINT64_C(1) << 32);
		client_speak(self, partitions, now_ms);
		connection = 0;
	} else if (self->state == DRAINING && dice < 40) {
		memset(self->has, 0, sizeof(self->has));
		self->state = JOINING;
	} else if (dice < 85) {
		client_speak(self, partitions, now_ms);
	}
}

/* No partition has two readers that the broker could believe alive. */
static void
check_apart(int32_t partitions, int64_t now_ms)
{
	for (int32_t i = 0; i < partitions; i++) {
		size_t readers = 0;
		for (size_t j = 0; j < CLIENTS; j++) {
			readers += clients[j].has[i] &&
				   now_ms - clients[j].heard_ms <= session_ms;
		}
		must(readers <= 1, "a partition has one reader");
	}
}

/* Everybody obeys and nothing happens: it comes to rest, all is read, in fair shares. */
static void
check_rest(int32_t partitions, int64_t now_ms)
{
	size_t least = SIZE_MAX, most = 0, sum = 0, alive = 0;
	for (int round = 0; round < 40; round++) {
		now_ms += session_ms / 10;
		busp_groups_tick(groups, now_ms);
		for (size_t i = 0; i < CLIENTS; i++) {
			client *self = &clients[i];
			self->frozen = false;
			if (self->state == DRAINING) {
				memset(self->has, 0, sizeof(self->has));
				self->state = JOINING;
			}
			if (self->state != OUT) {
				client_speak(self, partitions, now_ms);
			}
			check_apart(partitions, now_ms);
		}
	}
	for (size_t i = 0; i < CLIENTS; i++) {
		size_t count = 0;
		for (int32_t j = 0; j < partitions; j++) {
			count += clients[i].has[j];
		}
		if (clients[i].state == OUT) {
			continue;
		}
		must(clients[i].state == HOLDING, "everybody has a share");
		alive++;
		sum += count;
		least = count < least ? count : least;
		most = count > most ? count : most;
	}
	must(alive == 0 || sum == (size_t)partitions, "every partition is read");
	must(alive == 0 || most - least <= 1, "shares are fair");
	size_t counts[2] = { 0 };
	busp_groups_each(groups, count_member, counts);
	must(counts[0] == alive && counts[1] == sum, "the broker says the same");
}

static void
test_histories(void)
{
	for (unsigned seed = 1; seed <= 3000 && broken == NULL; seed++) {
		srand(seed);
		int32_t partitions = 1 + rand() % PARTITIONS_MAX;
		int64_t now_ms = 0;
		groups = busp_groups_create(seed);
		/* a grace that is shorter than the session, or not */
		session_ms = seed % 2 == 0 ? SESSION_MS : 3 * SESSION_MS;
		memset(clients, 0, sizeof(clients));
		for (int step = 0; step < 300 && broken == NULL; step++) {
			now_ms += rand() % 40;
			busp_groups_tick(groups, now_ms);
			client_act(&clients[rand() % CLIENTS], partitions, now_ms);
			check_apart(partitions, now_ms);
		}
		check_rest(partitions, now_ms);
		busp_groups_destroy(groups);
		if (broken != NULL) {
			fprintf(stderr, "history %u: %s\n", seed, broken);
		}
	}
	session_ms = SESSION_MS;
	CU_ASSERT_PTR_NULL(broken);
}

static const bus_case cases[] = {
	{ "one member has everything, and is forgotten when it leaves", test_alone },
	{ "who comes gets its share when it was given up", test_handover },
	{ "who is silent for its session is out", test_silence },
	{ "whose connection ends is out, unless it comes back", test_connection_ends },
	{ "a generation of an earlier life is lost", test_earlier_boot },
	{ "shares are fair, and nobody loses what it can keep", test_shares },
	{ "members are bounded, the late one comes in when there is room", test_bounded },
	{ "groups without members are forgotten", test_forgotten },
	{ "groups are told apart by name and topic", test_names },
	{ "histories: one reader per partition, and rest", test_histories },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "nng groups", .cases = cases };
