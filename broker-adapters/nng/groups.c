/*
 * groups.c - who reads which partition, as the embedded broker decides it
 *
 * DESIGN
 * A member *holds* from the moment it was told ASSIGNED until it says JOINING or LEAVING,
 * or is taken out. A generation is *settled* when nobody holds partitions of an earlier
 * one; only then shares are computed, for all members at once, so that what two members
 * have never overlaps. Who comes when the house is full is told to go on: it is let in
 * when there is room.
 */
#include "broker-adapters/nng/groups.h"

#include <stdlib.h>

#include "broker-adapters/shared.h"

typedef struct busp_member {
	uint64_t id;
	char client[BUSP_CLIENT_NAME_MAX + 1];
	int64_t session_ms;
	int64_t seen_ms;
	uint64_t connection; /* it spoke on last */
	int64_t gone_ms;     /* since when that one has ended; INT64_MAX: it has not */
	bool holds;
	uint64_t generation; /* of what it holds */
	int32_t *partitions; /* its share, when shares were computed last */
	size_t count;
} busp_member;

typedef struct busp_reading_group {
	char *name;
	char *topic;
	uint64_t generation;
	uint64_t shared_generation; /* the one shares were computed for */
	busp_member **members;      /* in the order they came */
	size_t count;
	size_t capacity;
	struct busp_reading_group *next; /* sorted by name, then topic */
} busp_reading_group;

struct busp_groups {
	uint64_t generation; /* the newest of all groups: none is ever given twice */
	busp_reading_group *first;
	size_t member_count;
};

busp_groups *
busp_groups_create(uint32_t boot)
{
	busp_groups *groups = busp_adapter_alloc(1, sizeof(*groups));
	groups->generation = (uint64_t)boot << 32;
	return groups;
}

static void
busp_member_free(busp_member *member)
{
	free(member->partitions);
	free(member);
}

static void
busp_group_free(busp_reading_group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		busp_member_free(group->members[i]);
	}
	free(group->members);
	free(group->name);
	free(group->topic);
	free(group);
}

void
busp_groups_destroy(busp_groups *groups)
{
	if (groups == NULL) {
		return;
	}
	while (groups->first != NULL) {
		busp_reading_group *group = groups->first;
		groups->first = group->next;
		busp_group_free(group);
	}
	free(groups);
}

static char *
busp_text_copy(bus_str text)
{
	char *copy = busp_adapter_alloc(text.len + 1, 1);
	if (text.len > 0) {
		memcpy(copy, text.data, text.len);
	}
	return copy;
}

/* memcmp, and the shorter first: the same order for names as for their C strings. */
static int
busp_text_order(bus_str a, const char *b)
{
	size_t b_len = strlen(b);
	size_t len = a.len < b_len ? a.len : b_len;
	int order = len > 0 ? memcmp(a.data, b, len) : 0;
	return order != 0 ? order : (a.len > b_len) - (a.len < b_len);
}

/* Where the group is linked in, or would be. */
static busp_reading_group **
busp_group_place(busp_groups *groups, bus_str name, bus_str topic, bool *ret_there)
{
	busp_reading_group **place = &groups->first;
	int order = 1;
	while (*place != NULL) {
		order = busp_text_order(name, (*place)->name);
		order = order != 0 ? order : busp_text_order(topic, (*place)->topic);
		if (order <= 0) {
			break;
		}
		place = &(*place)->next;
	}
	*ret_there = *place != NULL && order == 0;
	return place;
}

static size_t
busp_member_index(const busp_reading_group *group, uint64_t id)
{
	size_t i = 0;
	while (i < group->count && group->members[i]->id != id) {
		i++;
	}
	return i;
}

static void
busp_member_join(busp_groups *groups, busp_reading_group *group,
		 const busp_group_request *request)
{
	busp_member *member = busp_adapter_alloc(1, sizeof(*member));
	size_t len = request->client.len < BUSP_CLIENT_NAME_MAX ? request->client.len :
								  BUSP_CLIENT_NAME_MAX;
	if (len > 0) {
		memcpy(member->client, request->client.data, len);
	}
	member->id = request->member;
	member->seen_ms = INT64_MIN;
	group->members = busp_adapter_grow(group->members, group->count, &group->capacity,
					   sizeof(busp_member *));
	group->members[group->count++] = member;
	groups->member_count++;
	group->generation = ++groups->generation;
}

static void
busp_member_out(busp_groups *groups, busp_reading_group *group, size_t index)
{
	busp_member_free(group->members[index]);
	group->count--;
	memmove(&group->members[index], &group->members[index + 1],
		(group->count - index) * sizeof(busp_member *));
	groups->member_count--;
	group->generation = ++groups->generation;
}

/* A group without members is forgotten: its generations do not come again. */
static void
busp_group_drop_if_empty(busp_reading_group **place)
{
	busp_reading_group *group = *place;
	if (group->count == 0) {
		*place = group->next;
		busp_group_free(group);
	}
}

/* ---- shares ---- */

static bool
busp_group_settled(const busp_reading_group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		const busp_member *member = group->members[i];
		if (member->holds && member->generation != group->generation) {
			return false;
		}
	}
	return true;
}

/* How many members had more than `floor`, up to `most`: they keep the larger shares. */
static size_t
busp_members_above(const busp_reading_group *group, size_t floor, size_t most)
{
	size_t above = 0;
	for (size_t i = 0; i < group->count; i++) {
		above += group->members[i]->count > floor;
	}
	return above < most ? above : most;
}

/* How many partitions each is to have: whoever had more than the smaller share first. */
static void
busp_group_quotas(const busp_reading_group *group, size_t partitions, size_t *quotas)
{
	size_t share = partitions / group->count;
	size_t larger = partitions % group->count;
	size_t kept = busp_members_above(group, share, larger);
	size_t fresh = larger - kept;
	for (size_t i = 0; i < group->count; i++) {
		bool had_more = group->members[i]->count > share;
		size_t *left = had_more ? &kept : &fresh;
		quotas[i] = share;
		if (*left > 0) {
			quotas[i]++;
			(*left)--;
		}
	}
}

/* Each keeps what it had as far as its quota goes; what is left goes to who lacks some. */
static void
busp_group_share(busp_reading_group *group, size_t partitions)
{
	size_t *quotas = busp_adapter_alloc(group->count, sizeof(*quotas));
	bool *taken = busp_adapter_alloc(partitions, sizeof(*taken));
	busp_group_quotas(group, partitions, quotas);
	for (size_t i = 0; i < group->count; i++) {
		busp_member *member = group->members[i];
		if (member->count > quotas[i]) {
			member->count = quotas[i];
		}
		for (size_t j = 0; j < member->count; j++) {
			taken[member->partitions[j]] = true;
		}
	}
	size_t next = 0;
	for (size_t i = 0; i < group->count; i++) {
		busp_member *member = group->members[i];
		int32_t *share = busp_adapter_alloc(quotas[i], sizeof(*share));
		if (member->count > 0) {
			memcpy(share, member->partitions, member->count * sizeof(*share));
		}
		while (member->count < quotas[i]) {
			while (taken[next]) {
				next++;
			}
			share[member->count++] = (int32_t)next++;
		}
		free(member->partitions);
		member->partitions = share;
	}
	free(taken);
	free(quotas);
	group->shared_generation = group->generation;
}

/* ---- what a member is told ---- */

static busp_group_answer
busp_member_joining(busp_reading_group *group, busp_member *member, int32_t partitions)
{
	member->holds = false;
	if (!busp_group_settled(group)) {
		return (busp_group_answer){ .verdict = BUSP_GROUP_GO_ON,
					    .generation = group->generation };
	}
	if (group->shared_generation != group->generation) {
		busp_group_share(group, (size_t)partitions);
	}
	member->holds = true;
	member->generation = group->generation;
	return (busp_group_answer){ .verdict = BUSP_GROUP_ASSIGNED,
				    .generation = group->generation,
				    .partitions = member->partitions,
				    .partition_count = member->count };
}

static busp_group_answer
busp_member_holding(const busp_reading_group *group, const busp_member *member,
		    uint64_t generation)
{
	busp_group_answer answer = { .generation = group->generation };
	if (!member->holds || member->generation != generation) {
		answer.verdict = BUSP_GROUP_LOST;
	} else if (generation != group->generation) {
		answer.verdict = BUSP_GROUP_GIVE_UP;
	} else {
		answer.verdict = BUSP_GROUP_GO_ON;
	}
	return answer;
}

static busp_reading_group *
busp_group_make(busp_reading_group **place, const busp_group_request *request)
{
	busp_reading_group *group = busp_adapter_alloc(1, sizeof(*group));
	group->name = busp_text_copy(request->group);
	group->topic = busp_text_copy(request->topic);
	group->next = *place;
	*place = group;
	return group;
}

static busp_group_answer
busp_stranger(const busp_group_request *request)
{
	return (busp_group_answer){ .verdict = request->state == BUSP_GROUP_HOLDING ?
						       BUSP_GROUP_LOST :
						       BUSP_GROUP_GO_ON };
}

void
busp_groups_ask(busp_groups *groups, const busp_group_request *request,
		int32_t partitions, uint64_t connection, int64_t now_ms,
		busp_group_answer *ret_answer)
{
	bool there;
	busp_reading_group **place =
		busp_group_place(groups, request->group, request->topic, &there);
	busp_reading_group *group = there ? *place : NULL;
	size_t at = there ? busp_member_index(group, request->member) : 0;
	bool known = there && at < group->count;
	if (!known && (request->state != BUSP_GROUP_JOINING ||
		       groups->member_count >= BUSP_GROUP_MEMBERS_MAX)) {
		*ret_answer = busp_stranger(request);
		return;
	}
	if (known && request->state == BUSP_GROUP_LEAVING) {
		busp_member_out(groups, group, at);
		busp_group_drop_if_empty(place);
		*ret_answer = (busp_group_answer){ .verdict = BUSP_GROUP_GO_ON };
		return;
	}
	if (group == NULL) {
		group = busp_group_make(place, request);
	}
	if (!known) {
		busp_member_join(groups, group, request);
		at = group->count - 1;
	}
	busp_member *member = group->members[at];
	member->session_ms = request->session_ms;
	member->seen_ms = now_ms > member->seen_ms ? now_ms : member->seen_ms;
	member->connection = connection;
	member->gone_ms = INT64_MAX;
	*ret_answer = request->state == BUSP_GROUP_JOINING ?
			      busp_member_joining(group, member, partitions) :
			      busp_member_holding(group, member, request->generation);
}

/* ---- time ---- */

void
busp_groups_gone(busp_groups *groups, uint64_t connection, int64_t now_ms)
{
	const busp_reading_group *group = groups->first;
	for (; group != NULL; group = group->next) {
		for (size_t i = 0; i < group->count; i++) {
			busp_member *member = group->members[i];
			if (member->connection == connection) {
				member->gone_ms = now_ms;
			}
		}
	}
}

/* The last moment at which it is not missed. */
static int64_t
busp_member_end_ms(const busp_member *member)
{
	int64_t end = member->seen_ms + member->session_ms;
	if (member->gone_ms < end - BUSP_GROUP_GRACE_MS) {
		end = member->gone_ms + BUSP_GROUP_GRACE_MS;
	}
	return end;
}

bool
busp_groups_tick(busp_groups *groups, int64_t now_ms)
{
	bool changed = false;
	busp_reading_group **place = &groups->first;
	while (*place != NULL) {
		busp_reading_group *group = *place;
		for (size_t i = group->count; i > 0; i--) {
			if (now_ms > busp_member_end_ms(group->members[i - 1])) {
				busp_member_out(groups, group, i - 1);
				changed = true;
			}
		}
		busp_group_drop_if_empty(place);
		if (*place == group) {
			place = &group->next;
		}
	}
	return changed;
}

int64_t
busp_groups_due_ms(const busp_groups *groups)
{
	int64_t due = INT64_MAX;
	const busp_reading_group *group = groups->first;
	for (; group != NULL; group = group->next) {
		for (size_t i = 0; i < group->count; i++) {
			int64_t end = busp_member_end_ms(group->members[i]) + 1;
			due = end < due ? end : due;
		}
	}
	return due;
}

void
busp_groups_each(const busp_groups *groups,
		 void (*each)(void *ctx, const char *group, const char *topic,
			      uint64_t generation, uint64_t member, const char *client,
			      const int32_t *partitions, size_t count),
		 void *ctx)
{
	const busp_reading_group *group = groups->first;
	for (; group != NULL; group = group->next) {
		for (size_t i = 0; i < group->count; i++) {
			const busp_member *member = group->members[i];
			each(ctx, group->name, group->topic, group->generation,
			     member->id, member->client, member->partitions,
			     member->holds ? member->count : 0);
		}
	}
}
