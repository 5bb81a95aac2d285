/*
 * group.c - who reads which partition: Kafka's eager assignment, in memory
 *
 * DESIGN
 * Whenever the members change, the group's generation grows. A member that holds
 * partitions of an older one is told REVOKED and stops; when nobody holds any, each is
 * told ASSIGNED: partition p goes to member p mod count, in the order they joined.
 */
#include "broker-adapters/memory/broker.h"

#include <stdlib.h>

busp_group *
busp_mem_group_use(busp_broker *broker, const char *name, busp_topic *topic)
{
	busp_group *group = broker->groups;

	while (group != NULL &&
	       (strcmp(group->name, name) != 0 || group->topic != topic)) {
		group = group->next;
	}
	if (group == NULL) {
		group = busp_adapter_alloc(1, sizeof(*group));
		group->name = busp_adapter_copy(name);
		group->topic = topic;
		group->next = broker->groups;
		broker->groups = group;
	}
	return group;
}

void
busp_mem_groups_free(busp_group *groups)
{
	while (groups != NULL) {
		busp_group *group = groups;

		groups = group->next;
		free(group->members);
		free(group->name);
		free(group);
	}
}

static void
busp_member_list(busp_member *member)
{
	busp_group *group = member->group;

	group->members = busp_adapter_grow(group->members, group->count, &group->capacity,
					   sizeof(*group->members));
	group->members[group->count++] = member;
	group->generation++;
	member->listed = true;
	member->state = BUSP_WAITING;
}

static void
busp_member_unlist(busp_member *member)
{
	busp_group *group = member->group;
	size_t at = 0;

	while (group->members[at] != member) {
		at++;
	}
	group->count--;
	memmove(&group->members[at], &group->members[at + 1],
		(group->count - at) * sizeof(*group->members));
	group->generation++;
	member->listed = false;
}

void
busp_mem_group_join(busp_group *group, busp_member *member, int64_t now_ms)
{
	member->group = group;
	member->seen_ms = now_ms;
	member->partitions = busp_adapter_alloc((size_t)group->topic->info.partitions,
						sizeof(*member->partitions));
	busp_member_list(member);
}

void
busp_mem_group_leave(busp_member *member)
{
	if (member->listed) {
		busp_member_unlist(member);
	}
	free(member->partitions);
	member->partitions = NULL;
	member->partition_count = 0;
	member->group = NULL;
	member->state = BUSP_OUT;
}

void
busp_mem_group_stopped(busp_member *member)
{
	if (member->state != BUSP_ASKED) {
		return;
	}
	member->partition_count = 0;
	member->state = BUSP_WAITING;
	if (!member->listed) {
		busp_member_list(member);
	}
}

static void
busp_group_evict(busp_group *group, int64_t now_ms)
{
	for (size_t i = group->count; i > 0; i--) {
		busp_member *member = group->members[i - 1];

		if (now_ms - member->seen_ms > member->session_ms) {
			busp_member_unlist(member);
			if (member->state == BUSP_HOLDING) {
				member->state = BUSP_EVICTED;
			}
		}
	}
}

/* Does somebody still hold what an older generation gave? */
static bool
busp_group_settled(const busp_group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		const busp_member *member = group->members[i];

		if (member->state == BUSP_ASKED ||
		    (member->state == BUSP_HOLDING &&
		     member->generation != group->generation)) {
			return false;
		}
	}
	return true;
}

static void
busp_member_assign(busp_member *member)
{
	const busp_group *group = member->group;
	size_t at = 0;

	while (group->members[at] != member) {
		at++;
	}
	member->partition_count = 0;
	for (size_t p = at; p < (size_t)group->topic->info.partitions; p += group->count) {
		member->partitions[member->partition_count++] = (bus_position){
			.topic = group->topic->info.name,
			.partition = (int32_t)p,
			.offset = -1,
		};
	}
	member->generation = group->generation;
	member->state = BUSP_HOLDING;
}

static bool
busp_member_tell(const busp_member *member, bus_poll_kind kind, bus_poll *ret_poll)
{
	*ret_poll = (bus_poll){
		.kind = kind,
		.partitions = member->partitions,
		.partition_count = member->partition_count,
	};
	return true;
}

bool
busp_mem_group_event(busp_member *member, int64_t now_ms, bus_poll *ret_poll)
{
	busp_group *group = member->group;

	if (group == NULL) {
		return false;
	}
	member->seen_ms = now_ms;
	busp_group_evict(group, now_ms);
	if (member->state == BUSP_EVICTED) {
		member->state = BUSP_ASKED;
		return busp_member_tell(member, BUS_POLL_LOST, ret_poll);
	}
	if (member->state == BUSP_HOLDING && member->generation != group->generation) {
		if (member->partition_count > 0) {
			member->state = BUSP_ASKED;
			return busp_member_tell(member, BUS_POLL_REVOKED, ret_poll);
		}
		member->state = BUSP_WAITING;
	}
	if (member->state == BUSP_WAITING && !member->listed) {
		busp_member_list(member);
	}
	if (member->state == BUSP_WAITING && busp_group_settled(group)) {
		busp_member_assign(member);
		return busp_member_tell(member, BUS_POLL_ASSIGNED, ret_poll);
	}
	return false;
}
