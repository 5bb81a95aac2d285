/*
 * server_group.c - GROUP: members say how they are, and wait for what is new
 */
#include "broker-adapters/nng/server.h"

bool
busp_group_name_valid(bus_str name)
{
	return name.len > 0 && name.len <= BUSP_GROUP_NAME_MAX &&
	       memchr(name.data, '\0', name.len) == NULL;
}

static void
busp_group_answer_put(busp_request *request, const busp_group_answer *answer)
{
	busp_put_group_answer(busp_answer_begin(request), answer);
	busp_answer_end(request);
}

/* The texts outlive the request's bytes. */
static void
busp_group_keep(busp_request *request)
{
	busp_group_request *group = &request->group;
	bus_buf *text = &request->group_text;
	bus_buf_str(text, group->group);
	bus_buf_str(text, group->topic);
	bus_buf_str(text, group->client);
	const char *at = text->data;
	group->group.data = at;
	group->topic.data = at + group->group.len;
	group->client.data = at + group->group.len + group->topic.len;
}

static void
busp_group_park(busp_server *server, busp_request *request)
{
	busp_group_keep(request);
	busp_request_let_go(request);
	busp_list_add(&server->joins, request);
	if (request->due_ms < server->join_due_ms) {
		server->join_due_ms = request->due_ms;
	}
}

/* Only the newest word of a member counts: one that is parked still would say again, later,
 * what is not so any more. */
static void
busp_group_supersede(busp_server *server, const busp_group_request *group)
{
	busp_request *next;
	for (busp_request *request = server->joins.first; request != NULL;
	     request = next) {
		next = request->next;
		if (request->group.member == group->member &&
		    bus_str_eq(request->group.group, group->group) &&
		    bus_str_eq(request->group.topic, group->topic)) {
			busp_group_answer_put(request,
					      &(busp_group_answer){
						      .verdict = BUSP_GROUP_GO_ON });
		}
	}
}

void
busp_group_take(busp_server *server, busp_request *request)
{
	busp_group_request *group = &request->group;
	busp_get_group_request(&request->body, group);
	if (!busp_reader_done(&request->body)) {
		busp_answer_refuse(request, BUSP_MALFORMED,
				   "a group's request whose lengths do not add up");
		return;
	}
	if (!busp_group_name_valid(group->group) ||
	    group->session_ms < BUSP_SESSION_MS_MIN ||
	    group->session_ms > BUSP_SESSION_MS_MAX) {
		busp_answer_refuse(request, BUSP_INVALID,
				   "a group has a name, and a session of %d to %d ms",
				   BUSP_SESSION_MS_MIN, BUSP_SESSION_MS_MAX);
		return;
	}
	const busp_topic *topic = busp_journal_topic(server->journal, group->topic);
	if (topic == NULL) {
		busp_answer_refuse(request, BUSP_NO_TOPIC, "%.*s",
				   BUS_STR_ARG(group->topic));
		return;
	}
	/* A request that is kept is no sign of life: the next one must come in time. */
	uint32_t wait_max = group->session_ms / 3;
	uint32_t wait_ms = group->wait_ms < wait_max ? group->wait_ms : wait_max;
	busp_group_supersede(server, group);
	busp_group_answer answer;
	request->partitions = topic->info.partitions;
	request->due_ms = request->arrived_ms + wait_ms;
	busp_groups_ask(server->groups, group, request->partitions,
			busp_peer_number(request->peer), request->arrived_ms, &answer);
	server->groups_moved = true;
	if (answer.verdict != BUSP_GROUP_GO_ON || wait_ms == 0 ||
	    group->state == BUSP_GROUP_LEAVING) {
		busp_group_answer_put(request, &answer);
	} else {
		busp_group_park(server, request);
	}
}

bool
busp_group_release(busp_server *server)
{
	busp_request *request = server->joins.first;
	if (request == NULL) {
		return false;
	}
	busp_group_answer_put(request,
			      &(busp_group_answer){ .verdict = BUSP_GROUP_GO_ON });
	return true;
}

void
busp_group_round(busp_server *server, int64_t now_ms)
{
	if (now_ms >= busp_groups_due_ms(server->groups) &&
	    busp_groups_tick(server->groups, now_ms)) {
		server->groups_moved = true;
	}
	if (!server->groups_moved && now_ms < server->join_due_ms) {
		return;
	}
	server->groups_moved = false;
	server->join_due_ms = INT64_MAX;
	busp_request *next;
	for (busp_request *request = server->joins.first; request != NULL;
	     request = next) {
		busp_group_answer answer;
		next = request->next;
		busp_groups_ask(server->groups, &request->group, request->partitions,
				busp_peer_number(request->peer), request->arrived_ms,
				&answer);
		if (answer.verdict != BUSP_GROUP_GO_ON || request->due_ms <= now_ms) {
			busp_group_answer_put(request, &answer);
		} else if (request->due_ms < server->join_due_ms) {
			server->join_due_ms = request->due_ms;
		}
	}
}
