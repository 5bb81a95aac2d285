/*
 * server.c - the embedded broker: begin, one round after the other, end
 */
#include "broker-adapters/nng/server.h"

#include <stdlib.h>

#include "core/log.h"

/* ---- a round ---- */

static bus_status
busp_refused_early(busp_request *request)
{
	switch (request->refused) {
	case BUSP_OTHER_VERSION:
		busp_answer_refuse(request, BUSP_OTHER_VERSION,
				   "this broker speaks version %d of the protocol",
				   BUSP_WIRE_VERSION);
		break;
	case BUSP_DENIED:
		busp_answer_refuse(request, BUSP_DENIED,
				   "no token, or another than the broker's; see "
				   "token-file in broker.properties");
		break;
	case BUSP_BUSY:
		busp_answer_refuse(request, BUSP_BUSY,
				   "more waits for the disk than the broker keeps");
		break;
	default:
		busp_answer_refuse(request, BUSP_MALFORMED, "not a request");
		break;
	}
	return BUS_OK;
}

static bus_status
busp_request_do(busp_server *server, busp_request *request, bus_error *err)
{
	if (request->refused != BUSP_DONE) {
		busp_request_let_go(request);
		return busp_refused_early(request);
	}
	switch (request->op) {
	case BUSP_OP_APPEND:
	case BUSP_OP_NOTE:
		busp_write_take(server, request);
		return BUS_OK;
	case BUSP_OP_FETCH:
		if (busp_peer_closed(request->peer)) {
			busp_request_drop(request); /* rather than read for nobody */
			return BUS_OK;
		}
		return busp_read_fetch(server, request, err);
	case BUSP_OP_GROUP:
		busp_group_take(server, request);
		return BUS_OK;
	case BUSP_OP_OFFSET:
		return busp_read_offset(server, request, err);
	case BUSP_OP_INFO:
	case BUSP_OP_TOPIC_ENSURE:
	case BUSP_OP_TOPIC_LIST:
	case BUSP_OP_GROUPS:
	case BUSP_OP_TRIM:
	case BUSP_OP_SEAL:
	case BUSP_OP_LOGS:
		return busp_admin_do(server, request, err);
	case BUSP_OP_COUNT:
		break;
	}
	abort(); /* busp_get_request gave an op that is none */
}

static bus_status
busp_requests_do(busp_server *server, bus_error *err)
{
	busp_list taken = busp_requests_take(server);
	bus_status status = BUS_OK;
	while (taken.first != NULL && status == BUS_OK) {
		busp_request *request = taken.first;
		taken.first = request->next;
		request->list = NULL;
		status = busp_request_do(server, request, err);
	}
	/* the end is near: what was not looked at is dropped with all that waits */
	while (taken.first != NULL) {
		busp_request *request = taken.first;
		taken.first = request->next;
		busp_list_add(&server->appends, request);
	}
	return status;
}

static void
busp_list_drop_peer(busp_list *list, const busp_peer *peer)
{
	busp_request *next;
	for (busp_request *request = list->first; request != NULL; request = next) {
		next = request->next;
		if (request->peer == peer) {
			busp_request_drop(request);
		}
	}
}

/* Who is gone waits for nothing, and is a member for a moment only. What it sent to be
 * written is written. */
static void
busp_peer_gone(busp_server *server, const busp_peer *peer)
{
	busp_list_drop_peer(&server->fetches, peer);
	busp_list_drop_peer(&server->ready, peer);
	busp_list_drop_peer(&server->joins, peer);
	busp_groups_gone(server->groups, busp_peer_number(peer),
			 bus_clock_mono_ms(server->clock));
}

static bus_status
busp_round(busp_server *server, bus_error *err)
{
	/* first, so that nothing of them comes after they were buried */
	busp_peer *dead = busp_peers_dead(server);
	bus_status status = busp_requests_do(server, err);
	busp_peers_bury(server, dead, busp_peer_gone);
	if (status != BUS_OK) {
		return status;
	}
	int64_t now_ms = bus_clock_mono_ms(server->clock);
	if (busp_write_commit(server, now_ms, err) != BUS_OK ||
	    busp_read_round(server, now_ms, err) != BUS_OK) {
		return err->status;
	}
	busp_group_round(server, now_ms);
	busp_peers_watch(server, now_ms);
	for (size_t excess = busp_requests_excess(server); excess > 0; excess--) {
		if (!busp_read_release(server) && !busp_group_release(server)) {
			break;
		}
	}
	return BUS_OK;
}

static int64_t
busp_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
busp_rest(busp_server *server)
{
	int64_t now_ms = bus_clock_mono_ms(server->clock);
	int64_t due_ms = busp_earlier(busp_write_due_ms(server), server->fetch_due_ms);
	due_ms = busp_earlier(due_ms, server->join_due_ms);
	due_ms = busp_earlier(due_ms, busp_groups_due_ms(server->groups));
	due_ms = busp_earlier(due_ms, now_ms + BUSP_LOOP_MS_MAX);
	bool more = server->ready.first != NULL;
	busp_sleep(server, !more && due_ms > now_ms ? due_ms - now_ms : 0);
}

/* What came before the end is carried out; what waits for something else is not answered:
 * its client finds the connection closed, and asks again when there is a broker. */
static bus_status
busp_drain(busp_server *server, bus_error *err)
{
	bus_status status = busp_round(server, err);
	while (status == BUS_OK && server->appends.first != NULL) {
		status = busp_write_commit(server, bus_clock_mono_ms(server->clock), err);
	}
	return status;
}

static bus_status
busp_serve(busp_server *server, bus_error *err)
{
	bus_status status = BUS_OK;
	while (status == BUS_OK && *server->options->stop == 0) {
		status = busp_round(server, err);
		if (status == BUS_OK) {
			busp_rest(server);
		}
	}
	busp_peers_drain(server);
	return status == BUS_OK ? busp_drain(server, err) : status;
}

/* ---- begin and end ---- */

/* Between an open journal and a closed one. */
static bus_status
busp_server_run(busp_server *server, bus_error *err)
{
	BUS_BUF_AUTO url = { 0 };
	bus_status status = busp_peers_open(server, err);
	if (status == BUS_OK) {
		status = busp_listen_start(server, &url, err);
	}
	if (status == BUS_OK) {
		busp_peers_accept(server);
		BUS_LOG(BUS_LOG_INFO, "ready", BUS_LOG_S("listen", bus_buf_view(&url)),
			BUS_LOG_S("directory", bus_str_from(server->options->directory)));
		if (server->options->on_ready != NULL) {
			server->options->on_ready(server->options->ctx, url.data);
		}
		status = busp_serve(server, err);
	}
	busp_peers_drain(server);
	busp_requests_drop(server);
	busp_journal_close(server->journal);
	busp_peers_close(server);
	return status;
}

/* With a connection that nng never finished what it uses is left to it: rather a leak, at
 * the end, than a callback into freed memory. */
static void
busp_server_free(busp_server *server)
{
	if (server->peers != NULL) {
		return;
	}
	busp_groups_destroy(server->groups);
	free(server->touched);
	free(server->failed);
	free(server->damaged);
	bus_buf_fini(&server->frame);
	bus_buf_fini(&server->slices);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

bus_status
bus_broker_serve(const bus_broker_options *options, bus_error *err)
{
	busp_server *server = busp_adapter_alloc(1, sizeof(*server));
	*server = (busp_server){
		.options = options,
		.clock = options->clock,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cut_lines = { .lines_max = BUSP_CUT_LINES_MAX },
		.crowd_lines = { .lines_max = BUSP_CROWD_LINES_MAX },
		.wake_fd = -1,
		.fetch_due_ms = INT64_MAX,
		.join_due_ms = INT64_MAX,
	};
	bus_status status = busp_listen_open(server, err);
	if (status == BUS_OK) {
		status = busp_journal_open(options->directory, options->clock,
					   &server->journal, err);
	}
	if (status == BUS_OK) {
		server->boot = busp_journal_boot(server->journal);
		server->groups = busp_groups_create(server->boot);
		status = busp_server_run(server, err);
	} else {
		/* nobody waits here for space on the disk: who started it is told */
		status = err->status = BUS_E_FATAL;
	}
	busp_server_free(server);
	return status;
}
