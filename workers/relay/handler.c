/*
 * handler.c - relay: the outbox's promises into their topics
 *
 * DESIGN
 * One loop: heartbeat, send what was read; while another thread publishes that, mark what was
 * published before and read ahead; settle, wait. Reading goes on from what was sent, not from
 * what was marked, so that marks (a commit each) are few: at most one in MARK_MS. Between a
 * publication and its mark a relay may die; the next one sends those rows again, and workers
 * know them by their ids.
 *
 * Several relays work at once, each on its shards (shards.c). One that has lost a shard without
 * knowing still publishes rows of it for a moment. That cannot turn the order of a key around:
 * it and its successor both publish the rows of a stream in order without a gap, from marks at
 * which all before was published, so what is in the topic first of either is always a beginning
 * of the stream.
 *
 * Whatever goes wrong with the store has one answer: forget the streams, connect again, go on
 * from the marks.
 */
#include "workers/relay/handler.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "workers/relay/relay.h"

#define CHANNEL "busline_outbox"
#define ROLE "busline_worker"

/* Rows published again after a crash are those of this long at most; 20 commits a second
 * cost PostgreSQL nothing. */
#define MARK_MS 50
/* Emptying takes locks and a commit, 20 to 200 ms in which nothing is published: often enough
 * that a table stays small, too seldom to show among the latencies. */
#define ROTATE_ROWS 50000u
#define ROTATE_AGAIN_MS 5000
#define RETRY_BASE_MS 50
#define RETRY_CAP_MS 2000
#define ARENA_CHUNK_BYTES (256u * 1024u)
/* Below it a busy machine would lose the lease at every hiccup. */
#define LEASE_MS_MIN 200

static bool
stopping(const busp_relay *relay)
{
	return *relay->service->stop != 0;
}

/* ---- marking and rotating ---- */

static bus_status
rotate(busp_relay *relay, bus_error *err)
{
	int emptied = 0;
	bus_status status = bus_store_outbox_rotate(relay->store, &emptied, err);
	if (status == BUS_OK) {
		relay->unrotated = 0;
		relay->rotated_ms = busp_relay_now(relay);
		bool first = relay->rotations == BUSP_RELAY_ROTATIONS;
		relay->rotations = emptied > 0 && !first ? 0 : relay->rotations - 1;
	}
	return status;
}

/* When what is published must be marked; INT64_MAX if all is. */
static int64_t
mark_ms(const busp_relay *relay)
{
	if (relay->unmarked == 0) {
		return INT64_MAX;
	}
	return relay->unmarked >= relay->batch_rows ? INT64_MIN :
						      relay->unmarked_ms + MARK_MS;
}

static bool
rotate_due(const busp_relay *relay)
{
	int64_t pause_ms = relay->rotations == BUSP_RELAY_ROTATIONS ?
				   BUSP_RELAY_ROTATE_MS :
				   ROTATE_AGAIN_MS;
	bool idle = relay->unmarked == 0 && relay->sent.row_count == 0;
	return relay->unrotated >= ROTATE_ROWS ||
	       (relay->rotations > 0 && idle &&
		busp_relay_now(relay) >= relay->rotated_ms + pause_ms);
}

/* ---- the loop ---- */

/* Nothing is ours: waits until it is time to look again. Without notifications, which nobody
 * would take out. */
static void
stand_by(busp_relay *relay)
{
	if (relay->listening) {
		bus_store_disconnect(relay->store);
	}
	bus_service_pause(relay->service, relay->renew_ms - busp_relay_now(relay));
}

/* Connected, our shards known, and listening. */
static bus_status
get_ready(busp_relay *relay, bus_error *err)
{
	bus_status status = BUS_OK;
	if (!bus_store_connected(relay->store)) {
		relay->listening = false;
		status = bus_service_connect(relay->service, relay->store, err);
	}
	if (status == BUS_OK && busp_relay_now(relay) >= relay->renew_ms) {
		status = busp_relay_renew(relay, err);
	}
	/* Before the first read: what is committed after it comes with a notification. */
	if (status == BUS_OK && busp_relay_ours(relay) != 0 && !relay->listening) {
		status = bus_store_listen(relay->store, CHANNEL, err);
		relay->listening = status == BUS_OK;
	}
	return status;
}

/* Sleeps until there may be something to do; takes out what notifications there are. */
static bus_status
wait(busp_relay *relay, bool idle, bus_error *err)
{
	const int64_t reasons[] = { busp_relay_due_ms(relay), relay->renew_ms,
				    mark_ms(relay) };
	int64_t wait_ms = idle && !stopping(relay) ? relay->poll_ms : 0;
	int64_t now_ms = busp_relay_now(relay);
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i] <= now_ms) {
			wait_ms = 0;
		} else if (reasons[i] - now_ms < wait_ms) {
			wait_ms = reasons[i] - now_ms;
		}
	}
	bool notified;
	return bus_store_wait(relay->store, (int)wait_ms, &notified, err);
}

/* What the store has to do while a batch is published. */
static bus_status
meanwhile(busp_relay *relay, bus_error *err)
{
	bus_status status = BUS_OK;
	if (busp_relay_now(relay) >= mark_ms(relay)) {
		status = busp_relay_mark(relay, err);
	}
	if (status == BUS_OK && rotate_due(relay)) {
		status = rotate(relay, err);
	}
	if (status == BUS_OK && relay->sent.row_count > 0) {
		status = busp_relay_read(relay, err);
	}
	return status;
}

/* Publishes where the bus is, if it has moved. Nothing is on its way now. */
static bus_status
follow(busp_relay *relay, bus_error *err)
{
	bool moved = false;
	if (relay->followed == NULL) {
		return BUS_OK;
	}
	bus_status status = bus_service_locate(relay->service, relay->store,
					       &relay->place, &moved, err);
	if (status != BUS_OK || !moved) {
		return status;
	}
	bus_adapter *adapter = NULL;
	status = bus_service_adapter(relay->service, relay->place.url, &adapter, err);
	if (status != BUS_OK) {
		return status;
	}
	busp_publisher_use(&relay->publisher, adapter);
	bus_adapter_close(relay->followed);
	relay->followed = adapter;
	busp_relay_hurry(relay);
	return BUS_OK;
}

/* One turn. Nothing is on its way when it ends. */
static bus_status
turn(busp_relay *relay, bus_error *err)
{
	bus_arena_reset(relay->arena);
	bus_status status = get_ready(relay, err);
	if (status != BUS_OK) {
		return status;
	}
	if (busp_relay_ours(relay) == 0) {
		stand_by(relay);
		return BUS_OK;
	}
	status = follow(relay, err);
	if (status == BUS_OK) {
		status = busp_relay_read(relay, err);
	}
	if (status == BUS_OK) {
		status = busp_relay_send(relay, err);
	}
	if (status == BUS_OK) {
		status = meanwhile(relay, err);
	}
	bus_error unsettled = BUS_ERROR_INIT;
	bus_status settled = busp_relay_settle(relay, &unsettled);
	if (status == BUS_OK && settled != BUS_OK) {
		*err = unsettled;
		status = settled;
	}
	return status == BUS_OK ? wait(relay, relay->drained, err) : status;
}

static void
forget_all(busp_relay *relay)
{
	busp_relay_forget(relay, ~(bus_relay_shards)0);
	relay->unmarked = 0;
}

/* After a turn that failed: BUS_OK if it makes sense to go on. */
static bus_status
recover(busp_relay *relay, const bus_error *err)
{
	if (err->status == BUS_E_FATAL) {
		bool robbed = busp_relay_robbed(relay);
		forget_all(relay);
		return robbed ? BUS_OK : BUS_E_FATAL;
	}
	if (!stopping(relay)) {
		bus_log_error(BUS_LOG_WARN,
			      "outbox lost sight of, starting over from its marks", err);
	}
	forget_all(relay);
	bus_store_disconnect(relay->store);
	bus_service_pause(relay->service, bus_backoff_next_ms(&relay->backoff));
	return BUS_OK;
}

/* Marks what is published and gives everything back; whoever comes next need not wait. */
static void
leave(busp_relay *relay)
{
	bus_error err = BUS_ERROR_INIT;
	if (!bus_store_connected(relay->store)) {
		return;
	}
	bus_arena_reset(relay->arena);
	bus_status status = busp_relay_mark(relay, &err);
	if (status == BUS_OK) {
		status = bus_store_relay_leave(relay->store, relay->holder, &err);
	}
	if (status != BUS_OK) {
		bus_log_error(BUS_LOG_WARN,
			      "shards not given back, they end by themselves", &err);
	}
}

static bus_status
configure(busp_relay *relay, bus_error *err)
{
	const bus_config *config = relay->service->config;
	int64_t batch = bus_config_int(config, BUS_CONF_RELAY_BATCH_EVENTS);
	relay->poll_ms = bus_config_int(config, BUS_CONF_RELAY_POLL_MS);
	relay->lease_ms = bus_config_int(config, BUS_CONF_RELAY_LEASE_MS);
	if (batch < 1 || relay->poll_ms < 1 || relay->poll_ms > INT32_MAX ||
	    relay->lease_ms < LEASE_MS_MIN || relay->lease_ms > INT32_MAX) {
		return bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "relay.batch-events %" PRId64
				     ", relay.poll-ms %" PRId64
				     " and relay.lease-ms %" PRId64
				     " must be at least 1, 1 and %d",
				     batch, relay->poll_ms, relay->lease_ms,
				     LEASE_MS_MIN);
	}
	relay->batch_rows = (size_t)batch;
	/* A process number alone comes again, in containers at once. */
	char host[32] = "";
	gethostname(host, sizeof(host) - 1);
	snprintf(relay->holder, sizeof(relay->holder), "%s/%d/%" PRIx64, host,
		 (int)getpid(), (uint64_t)bus_clock_wall_us(relay->service->clock));
	relay->backoff = (bus_backoff){
		.base_ms = RETRY_BASE_MS,
		.cap_ms = RETRY_CAP_MS,
		.seed = (uint64_t)getpid(),
	};
	return BUS_OK;
}

/* The loop, until told to stop or FATAL. */
static bus_status
serve(busp_relay *relay, bus_error *err)
{
	bus_status status = BUS_OK;
	while (status == BUS_OK && !stopping(relay)) {
		bus_error_reset(err);
		if (turn(relay, err) == BUS_OK) {
			relay->backoff.attempt = 0;
			continue;
		}
		status = recover(relay, err);
	}
	if (status == BUS_OK) {
		leave(relay);
		bus_error_reset(err);
	}
	return status;
}

/* adapter: NULL: one that follows the bus. */
static bus_status
run(const bus_service *service, bus_adapter *adapter, bus_error *err)
{
	busp_relay relay = { .service = service };
	bus_status status = configure(&relay, err);
	if (status != BUS_OK) {
		return status;
	}
	relay.arena = bus_arena_create(ARENA_CHUNK_BYTES);
	relay.sent.arena = bus_arena_create(ARENA_CHUNK_BYTES);
	relay.next.arena = bus_arena_create(ARENA_CHUNK_BYTES);
	relay.store = bus_service_store(service, ROLE);
	if (relay.arena == NULL || relay.sent.arena == NULL || relay.next.arena == NULL ||
	    relay.store == NULL) {
		status = bus_error_set(err, BUS_E_FATAL, "relay", 0, "out of memory");
	} else if (adapter == NULL) {
		status = bus_service_open(service, relay.store, &relay.place,
					  &relay.followed, err);
		adapter = relay.followed;
	}
	if (status == BUS_OK) {
		status = busp_publisher_start(&relay.publisher, adapter, err);
	}
	if (status == BUS_OK) {
		status = serve(&relay, err);
		busp_publisher_stop(&relay.publisher);
	}
	bus_adapter_close(relay.followed);
	bus_store_destroy(relay.store);
	bus_arena_destroy(relay.next.arena);
	bus_arena_destroy(relay.sent.arena);
	bus_arena_destroy(relay.arena);
	free(relay.streams);
	return status;
}

bus_status
bus_relay_serve(const bus_service *service, bus_adapter *adapter, bus_error *err)
{
	return run(service, adapter, err);
}

bus_status
bus_relay_run(const bus_service *service, bus_error *err)
{
	bus_status status = run(service, NULL, err);
	return *service->stop != 0 && status != BUS_E_FATAL ? BUS_OK : status;
}
