/*
 * broker.h - the parts of a broker in memory; private to this folder
 *
 * DESIGN
 * broker.c keeps topics and their logs, group.c decides who reads which partition,
 * memory.c is the adapter on top. One lock guards everything of every broker: it is
 * taken by the operations of memory.c, by nothing below them. Records are never freed
 * while a broker lives, so what a poll hands out stays valid without a copy.
 */
#ifndef BUSP_MEMORY_BROKER_H
#define BUSP_MEMORY_BROKER_H

#include "broker-adapters/shared.h"

#define BUSP_ORIGIN "memory"

typedef struct busp_logged {
	int64_t timestamp_ms;
	size_t bytes;
	bus_record record; /* in the same allocation */
} busp_logged;

typedef struct busp_log {
	busp_logged **records; /* by offset */
	size_t count;          /* the end: offset of the next record */
	size_t capacity;
	size_t start; /* the first that was not cut off */
} busp_log;

typedef struct busp_topic {
	struct busp_topic *next;
	bus_topic_info info;
	busp_log *logs; /* by partition */
	bool sealed;    /* takes no record */
} busp_topic;

/* A member of a group, and what it is told next. */
typedef enum busp_membership {
	BUSP_OUT,     /* is in no group */
	BUSP_WAITING, /* joined, has nothing: ASSIGNED when all others have nothing either */
	BUSP_HOLDING, /* has its partitions: REVOKED when who is in the group changes */
	BUSP_ASKED,   /* was told REVOKED or LOST and has not stopped yet */
	BUSP_EVICTED, /* was silent for too long: LOST */
} busp_membership;

typedef struct busp_member {
	struct busp_group *group; /* NULL: OUT */
	busp_membership state;
	bool listed;         /* in the group's table */
	uint64_t generation; /* of the group, when it was assigned */
	int64_t session_ms;
	int64_t seen_ms;          /* last poll */
	bus_position *partitions; /* assigned */
	size_t partition_count;
} busp_member;

typedef struct busp_group {
	struct busp_group *next;
	char *name;
	busp_topic *topic;
	busp_member **members; /* in the order they joined */
	size_t count;
	size_t capacity;
	uint64_t generation; /* grows whenever who is in it changes */
} busp_group;

typedef struct busp_broker {
	struct busp_broker *next;
	char *url;
	size_t uses; /* adapters, and one for the table of names */
	busp_topic *topics;
	busp_group *groups;
} busp_broker;

/* The broker of a URL, made if it is missing; give it back with busp_mem_broker_release. */
busp_broker *busp_mem_broker_use(const char *url);
void busp_mem_broker_release(busp_broker *broker);
/* NULL if no adapter was opened with this URL since it was dropped. */
busp_broker *busp_mem_broker_find(const char *url);
/* Takes the broker out of the table of names; who uses it keeps it. */
void busp_mem_broker_forget(const char *url);

busp_topic *busp_mem_topic_find(busp_broker *broker, const char *name);
busp_topic *busp_mem_topic_make(busp_broker *broker, const bus_topic_spec *spec);
/* NULL with err filled (FATAL) if there is no such topic or partition. */
busp_log *busp_mem_log_find(busp_broker *broker, const char *topic, int32_t partition,
			    bus_error *err);
/* Appends a copy; returns its offset. */
int64_t busp_mem_log_append(busp_log *log, const bus_record *record, int64_t timestamp_ms);

busp_group *busp_mem_group_use(busp_broker *broker, const char *name, busp_topic *topic);
void busp_mem_group_join(busp_group *group, busp_member *member, int64_t now_ms);
/* Ends membership; NULL-safe in the sense that who is OUT stays OUT. */
void busp_mem_group_leave(busp_member *member);
/* The member gave up reading: the answer to REVOKED and LOST. */
void busp_mem_group_stopped(busp_member *member);
/* What the member must be told now, if anything; counts as a sign of life. */
bool busp_mem_group_event(busp_member *member, int64_t now_ms, bus_poll *ret_poll);
void busp_mem_groups_free(busp_group *groups);

#endif
