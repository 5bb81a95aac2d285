/*
 * handler.c - clock: timers that are due become events
 *
 * DESIGN
 * One loop under a lease, as the relay's: what was set since the last look, what is due, wait
 * until the next is due or one is set. The lease says who tries; what fences is the epoch of
 * the clock's own stream, which a new leader raises before it reads a timer. So a clock that
 * was frozen past its lease finds its next transaction refused.
 *
 * Whatever goes wrong has one answer: forget what is known, connect again, take the lease,
 * load all timers. watch.c says how that survives steps of any wall clock.
 */
#include "workers/clock/handler.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "workers/clock/clock.h"

#define LEASE "clock"
#define CHANNEL "busline_timer"
#define ROLE "busline_worker"
/* No topic of a broker: names the position row that fences the clock. */
#define STREAM_TOPIC "busline.clock"
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

#define LEASE_PARTS 3 /* renewed this often within its time */
#define LEASE_MS_MIN 200
#define ARENA_CHUNK_BYTES (256u * 1024u)
#define RETRY_BASE_MS 50
#define RETRY_CAP_MS 2000
/* Under load a notification comes with every unit; looks are this far apart at least. */
#define LOOK_MS 5

static bool
stopping(const busp_clock *clock)
{
	return *clock->service->stop != 0;
}

static int64_t
mono_ms(const busp_clock *clock)
{
	return bus_clock_mono_ms(clock->service->clock);
}

/* ---- the lease ---- */

static void
forget(busp_clock *clock)
{
	clock->loaded = false;
	busp_known_clear(&clock->known);
}

static void
lose_lease(busp_clock *clock, bus_str holder)
{
	if (clock->epoch != 0) {
		BUS_LOG(BUS_LOG_WARN, "lease lost, standing by",
			BUS_LOG_I("epoch", clock->epoch), BUS_LOG_S("holder", holder));
	}
	clock->epoch = 0;
	forget(clock);
	if (clock->listening) {
		bus_store_disconnect(clock->store);
	}
}

/* Takes or renews the lease; waits a while if it is another's. */
static bus_status
take_lease(busp_clock *clock, bus_error *err)
{
	int64_t now_ms = mono_ms(clock);
	bus_lease lease = { 0 };
	bus_status status = bus_store_lease(clock->store, LEASE, clock->holder,
					    clock->lease_ms, clock->epoch, &lease, err);
	if (status != BUS_OK) {
		return status;
	}
	if (lease.epoch == 0) {
		lose_lease(clock, bus_str_from(lease.holder));
		int64_t wait_ms = clock->lease_ms / LEASE_PARTS;
		if (lease.left_ms > 0 && lease.left_ms < wait_ms) {
			wait_ms = lease.left_ms + 1;
		}
		bus_service_pause(clock->service, wait_ms);
		return BUS_OK;
	}
	if (lease.epoch != clock->epoch) {
		BUS_LOG(BUS_LOG_INFO, "lease taken", BUS_LOG_I("epoch", lease.epoch));
		forget(clock);
		clock->epoch = lease.epoch;
	}
	clock->renewed_ms = now_ms;
	return BUS_OK;
}

static int64_t
renew_ms(const busp_clock *clock)
{
	return clock->renewed_ms + clock->lease_ms / LEASE_PARTS;
}

/* ---- the loop ---- */

/* The epoch of its stream is raised first: from then on no other clock can fire what is
 * loaded here. */
static bus_status
load(busp_clock *clock, bus_error *err)
{
	static const int32_t partition = 0;
	clock->batch = BUSP_CLOCK_BATCH_MAX;
	bus_status status = bus_store_assign(clock->store, STREAM_TOPIC, &partition, 1,
					     &clock->stream, err);
	if (status == BUS_OK) {
		status = busp_clock_load(clock, err);
	}
	clock->loaded = status == BUS_OK;
	return status;
}

/* Connected, with the lease, listening, and all timers known: BUS_OK with epoch 0 if the lease
 * is another's. */
static bus_status
get_ready(busp_clock *clock, bus_error *err)
{
	bus_status status = BUS_OK;
	if (!bus_store_connected(clock->store)) {
		clock->listening = false;
		forget(clock);
		status = bus_service_connect(clock->service, clock->store, err);
	}
	bool renewed = false;
	if (status == BUS_OK && (clock->epoch == 0 || mono_ms(clock) >= renew_ms(clock))) {
		status = take_lease(clock, err);
		renewed = true;
	}
	if (status != BUS_OK || clock->epoch == 0) {
		return status;
	}
	if (!clock->listening) {
		status = bus_store_listen(clock->store, CHANNEL, err);
		clock->listening = status == BUS_OK;
	}
	if (status == BUS_OK && !clock->loaded) {
		status = load(clock, err);
		renewed = true;
	}
	if (status == BUS_OK && (renewed || clock->stepped)) {
		status = busp_clock_beat(clock, err);
	}
	return status;
}

/* Sleeps until a timer is due, one is set, or the lease must be renewed. */
static bus_status
wait(busp_clock *clock, bus_error *err)
{
	const busp_known_timer *first = busp_known_first(&clock->known);
	int64_t wait_ms = stopping(clock) ? 0 : clock->poll_ms;
	int64_t to_renew_ms = renew_ms(clock) - mono_ms(clock);
	wait_ms = to_renew_ms < wait_ms ? to_renew_ms : wait_ms;
	if (first != NULL) {
		int64_t to_due_ms = first->due_ms - bus_clock_boot_ms();
		wait_ms = to_due_ms < wait_ms ? to_due_ms : wait_ms;
	}
	bool notified = false;
	bus_status status = bus_store_wait(clock->store, wait_ms > 0 ? (int)wait_ms : 0,
					   &notified, err);
	int64_t soon_ms = clock->looked_ms + LOOK_MS - bus_clock_boot_ms();
	if (status == BUS_OK && notified && soon_ms > 0) {
		bus_service_pause(clock->service, soon_ms);
	}
	return status;
}

static bus_status
turn(busp_clock *clock, bus_error *err)
{
	bus_status status = get_ready(clock, err);
	if (status != BUS_OK || clock->epoch == 0) {
		return status;
	}
	status = busp_clock_look(clock, err);
	if (status == BUS_OK) {
		status = busp_clock_fire(clock, err);
	}
	return status == BUS_OK ? wait(clock, err) : status;
}

/* After a turn that failed: BUS_OK if it makes sense to go on. */
static bus_status
recover(busp_clock *clock, const bus_error *err)
{
	if (err->status == BUS_E_FATAL) {
		return BUS_E_FATAL;
	}
	if (strcmp(err->sqlstate, BUS_SQLSTATE_FENCED) == 0) {
		lose_lease(clock, BUS_STR("another clock"));
		return BUS_OK;
	}
	if (!stopping(clock)) {
		bus_log_error(BUS_LOG_WARN, "timers lost sight of, loading them again",
			      err);
	}
	forget(clock);
	bus_store_disconnect(clock->store);
	bus_service_pause(clock->service, bus_backoff_next_ms(&clock->backoff));
	return BUS_OK;
}

/* Hands the lease on; whoever comes next need not wait. */
static void
leave(busp_clock *clock)
{
	bus_error err = BUS_ERROR_INIT;
	if (clock->epoch == 0 || !bus_store_connected(clock->store)) {
		return;
	}
	if (bus_store_lease_release(clock->store, LEASE, clock->epoch, &err) != BUS_OK) {
		bus_log_error(BUS_LOG_WARN, "lease not given back, it ends by itself",
			      &err);
	}
}

static void
read_boot_id(busp_clock *clock)
{
	int file = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
	if (file < 0) {
		return; /* then no sign of life is of this boot, and PostgreSQL's clock counts */
	}
	ssize_t len = read(file, clock->boot_id, sizeof(clock->boot_id) - 1);
	close(file);
	clock->boot_id[len > 0 ? len : 0] = '\0';
	clock->boot_id[strcspn(clock->boot_id, "\n")] = '\0';
}

static bus_status
configure(busp_clock *clock, bus_error *err)
{
	const bus_config *config = clock->service->config;
	clock->poll_ms = bus_config_int(config, BUS_CONF_CLOCK_POLL_MS);
	clock->lease_ms = bus_config_int(config, BUS_CONF_CLOCK_LEASE_MS);
	if (clock->poll_ms < 1 || clock->poll_ms > INT32_MAX ||
	    clock->lease_ms < LEASE_MS_MIN || clock->lease_ms > INT32_MAX) {
		return bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "clock.poll-ms %" PRId64
				     " and clock.lease-ms %" PRId64
				     " must be at least 1 and %d",
				     clock->poll_ms, clock->lease_ms, LEASE_MS_MIN);
	}
	/* A process number alone comes again, in containers at once. */
	char host[32] = "";
	gethostname(host, sizeof(host) - 1);
	snprintf(clock->holder, sizeof(clock->holder), "%s/%d/%" PRIx64, host,
		 (int)getpid(), (uint64_t)bus_clock_wall_us(clock->service->clock));
	clock->backoff = (bus_backoff){
		.base_ms = RETRY_BASE_MS,
		.cap_ms = RETRY_CAP_MS,
		.seed = (uint64_t)getpid(),
	};
	read_boot_id(clock);
	return BUS_OK;
}

/* The loop, until told to stop or FATAL. */
static bus_status
serve(busp_clock *clock, bus_error *err)
{
	bus_status status = BUS_OK;
	while (status == BUS_OK && !stopping(clock)) {
		bus_error_reset(err);
		if (turn(clock, err) == BUS_OK) {
			clock->backoff.attempt = 0;
			continue;
		}
		status = recover(clock, err);
	}
	if (status == BUS_OK) {
		leave(clock);
		bus_error_reset(err);
	}
	return status;
}

bus_status
bus_clock_run(const bus_service *service, bus_error *err)
{
	busp_clock clock = { .service = service };
	bus_status status = configure(&clock, err);
	if (status != BUS_OK) {
		return status;
	}
	clock.arena = bus_arena_create(ARENA_CHUNK_BYTES);
	clock.store = bus_service_store(service, ROLE);
	if (clock.arena == NULL || clock.store == NULL) {
		status = bus_error_set(err, BUS_E_FATAL, "clock", 0, "out of memory");
	} else {
		status = serve(&clock, err);
	}
	busp_known_fini(&clock.known);
	bus_store_destroy(clock.store);
	bus_arena_destroy(clock.arena);
	return status;
}
