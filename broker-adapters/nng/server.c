/*
 * server.c - the embedded broker: begin, one round after the other, end
 */
#include "broker-adapters/nng/server.h"

#include <nng/protocol/reqrep0/rep.h>
#include <stdlib.h>
#include <unistd.h>

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
	busp_list taken = busp_pool_take(server);
	bus_status status = BUS_OK;
	while (taken.first != NULL && status == BUS_OK) {
		busp_request *request = taken.first;
		taken.first = request->next;
		request->list = NULL;
		status = busp_request_do(server, request, err);
	}
	return status;
}

static void
busp_list_drop_pipe(busp_list *list, uint32_t pipe)
{
	busp_request *next;
	for (busp_request *request = list->first; request != NULL; request = next) {
		next = request->next;
		if (request->pipe == pipe) {
			/* nobody reads it; it gives the context back */
			busp_answer_begin(request);
			busp_answer_end(request);
		}
	}
}

/* Who is gone waits for nothing. What it sent to be written is written. */
static void
busp_pipe_gone(busp_server *server, uint32_t pipe)
{
	busp_list_drop_pipe(&server->fetches, pipe);
	busp_list_drop_pipe(&server->ready, pipe);
	busp_list_drop_pipe(&server->joins, pipe);
}

static bus_status
busp_round(busp_server *server, bus_error *err)
{
	if (busp_requests_do(server, err) != BUS_OK) {
		return err->status;
	}
	busp_pool_gone(server, busp_pipe_gone);
	int64_t now_ms = bus_clock_mono_ms(server->clock);
	if (busp_write_commit(server, now_ms, err) != BUS_OK ||
	    busp_read_round(server, now_ms, err) != BUS_OK) {
		return err->status;
	}
	busp_group_round(server, now_ms);
	busp_pool_confirm(server, now_ms);
	for (size_t missing = busp_pool_grow(server); missing > 0; missing--) {
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
	busp_pool_sleep(server, due_ms > now_ms ? due_ms - now_ms : 0);
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
	busp_pool_drain(server);
	return status == BUS_OK ? busp_drain(server, err) : status;
}

/* ---- begin and end ---- */

static void
busp_server_fini(busp_server *server)
{
	busp_groups_destroy(server->groups);
	free(server->touched);
	free(server->failed);
	free(server->damaged);
	bus_buf_fini(&server->frame);
	bus_buf_fini(&server->slices);
	pthread_mutex_destroy(&server->lock);
}

/* Between an open journal and a closed one. */
static bus_status
busp_server_run(busp_server *server, bus_error *err)
{
	BUS_BUF_AUTO url = { 0 };
	bus_status status = busp_pool_open(server, err);
	if (status == BUS_OK) {
		status = busp_listen_start(server, &url, err);
	}
	if (status == BUS_OK) {
		BUS_LOG(BUS_LOG_INFO, "ready", BUS_LOG_S("listen", bus_buf_view(&url)),
			BUS_LOG_S("directory", bus_str_from(server->options->directory)));
		if (server->options->on_ready != NULL) {
			server->options->on_ready(server->options->ctx, url.data);
		}
		status = busp_serve(server, err);
	}
	for (size_t i = 0; i < server->request_count; i++) {
		busp_read_forget(server->requests[i]);
	}
	/* First what must not be lost: nng has been seen to hang at its end. */
	busp_journal_close(server->journal);
	busp_pool_close(server);
	return status;
}

bus_status
bus_broker_serve(const bus_broker_options *options, bus_error *err)
{
	busp_server server = {
		.options = options,
		.clock = options->clock,
		.wake_fd = -1,
		.fetch_due_ms = INT64_MAX,
		.join_due_ms = INT64_MAX,
	};
	bus_status status = busp_listen_open(&server, err);
	if (status == BUS_OK) {
		status = busp_journal_open(options->directory, options->clock,
					   &server.journal, err);
	}
	if (status != BUS_OK) {
		/* nobody waits here for space on the disk: who started it is told */
		return err->status = BUS_E_FATAL;
	}
	server.boot = busp_journal_boot(server.journal);
	server.groups = busp_groups_create(server.boot);
	pthread_mutex_init(&server.lock, NULL);
	int rv = nng_rep0_open(&server.socket);
	if (rv == 0) {
		status = busp_server_run(&server, err);
	} else {
		busp_journal_close(server.journal);
		status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, rv,
				       "the broker's socket: %s", nng_strerror(rv));
	}
	busp_server_fini(&server);
	return status;
}
