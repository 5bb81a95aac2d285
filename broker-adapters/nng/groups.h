/*
 * groups.h - who reads which partition, as the embedded broker decides it; private here
 *
 * DESIGN
 * A pure state machine in memory: requests and the time go in, answers come out. The same
 * eager rule as Kafka's: when the members change, the generation grows; whoever holds
 * partitions of an older generation is told to give up; when nobody holds any, all are
 * told what they have now. Shares differ by one at most, and whoever stays keeps what it
 * had as far as that is fair. Generations begin with the boot number in their upper half,
 * so that one of an earlier life of the broker is never current again.
 */
#ifndef BUSP_NNG_GROUPS_H
#define BUSP_NNG_GROUPS_H

#include "broker-adapters/nng/wire.h"

/* A member whose connection has ended is out, unless it speaks on another one within this.
 * A client of ours that only lost its connection is back in less than half of it. */
#define BUSP_GROUP_GRACE_MS 1000
/* Members of all groups together; one more waits until there is room. Far above what one
 * machine runs, and little memory. */
#define BUSP_GROUP_MEMBERS_MAX 4096

typedef struct busp_groups busp_groups;

busp_groups *busp_groups_create(uint32_t boot);
void busp_groups_destroy(busp_groups *groups);

/**
 * busp_groups_ask - a member says how it is, and is told what to do
 *
 * @partitions: of the topic
 * @connection: a number that tells apart where requests come from
 * @ret_answer: BUSP_GROUP_GO_ON when there is nothing new: the server keeps such a request
 *	until busp_groups_ask would say something else, or its wait ends. `partitions`
 *	inside is borrowed until the next call.
 *
 * Counts as a sign of life at now_ms; asking again for a request that was kept, give the
 * time at which it came. The request's session_ms is at most BUSP_SESSION_MS_MAX.
 */
void busp_groups_ask(busp_groups *groups, const busp_group_request *request,
		     int32_t partitions, uint64_t connection, int64_t now_ms,
		     busp_group_answer *ret_answer);

/* The connection has ended: whoever spoke last on it has a grace to come back. */
void busp_groups_gone(busp_groups *groups, uint64_t connection, int64_t now_ms);
/* Takes out who was silent for longer than its session, or its grace. True if anybody's answer may be
 * another now. Requests that the server keeps are no signs of life: the client sends a new
 * one at least every third of its session. */
bool busp_groups_tick(busp_groups *groups, int64_t now_ms);
/* When the next member will have been silent for too long; INT64_MAX: never. */
int64_t busp_groups_due_ms(const busp_groups *groups);

/* For `busline broker status`: calls for each member of each group, sorted by name. */
void busp_groups_each(const busp_groups *groups,
		      void (*each)(void *ctx, const char *group, const char *topic,
				   uint64_t generation, uint64_t member,
				   const char *client, const int32_t *partitions,
				   size_t count),
		      void *ctx);

#endif
