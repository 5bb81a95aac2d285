/*
 * test_mover.c - topics from one broker in memory to another, one of them on a bad day
 */
#include <stdio.h>
#include <stdlib.h>

#include <unistd.h>

#include "apps/cli/mover_show.h"
#include "broker-adapters/memory/memory.h"
#include "core/filler.h"
#include "tests/support/suite.h"

#define OLD "memory:old"
#define NEW "memory:new"
#define TOPIC "busline.scale"
#define PARTITIONS 3

static volatile sig_atomic_t stop;

static bus_adapter *
open_at(const char *url)
{
	const bus_adapter_options options = { .url = url, .clock = bus_clock_system() };
	bus_adapter *adapter = NULL;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL_FATAL(bus_adapter_open(&options, &adapter, &err), BUS_OK);
	return adapter;
}

static void
make_topic(bus_adapter *adapter, const char *name, int32_t partitions)
{
	const bus_topic_spec spec = { .name = name,
				      .partitions = partitions,
				      .replication = 1,
				      .retention_ms = -1,
				      .min_isr = 1 };
	bus_topic_info info;
	bool made;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL_FATAL(bus_adapter_topic_ensure(adapter, &spec, 1000, &info, &made,
						       &err),
			      BUS_OK);
}

/* Values "<first>" ... to one partition; their times are their values. */
static void
fill(bus_adapter *adapter, int32_t partition, int first, int count)
{
	for (int i = first; i < first + count; i++) {
		char value[16];
		snprintf(value, sizeof(value), "%d", i);
		const bus_header header = { BUS_STR("n"), bus_str_from(value) };
		bus_publication publication = {
			.topic = TOPIC,
			.partition = partition,
			.record = { BUS_STR("key"), bus_str_from(value), &header, 1 },
			.timestamp_ms = 1000 + i,
		};
		bus_error err = BUS_ERROR_INIT;
		CU_ASSERT_EQUAL_FATAL(bus_adapter_publish(adapter, &publication, 1, 1000,
							  &err),
				      BUS_OK);
	}
}

static void
fill_all(bus_adapter *adapter, int first, int count)
{
	for (int32_t p = 0; p < PARTITIONS; p++) {
		fill(adapter, p, first, count);
	}
}

static int64_t
offset_at(bus_adapter *adapter, int32_t partition, bus_offset_at at)
{
	int64_t offset = -1;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL_FATAL(bus_adapter_offset(adapter, TOPIC, partition, at, 0, 1000,
						 &offset, &err),
			      BUS_OK);
	return offset;
}

/* Is this the record that fill() puts to its offset? */
static bool
is_filled(const bus_delivery *delivery)
{
	const bus_record *record = &delivery->record;
	char value[16];
	snprintf(value, sizeof(value), "%lld", (long long)delivery->offset);
	return bus_str_is(record->key, "key") && bus_str_is(record->value, value) &&
	       record->header_count == 1 && bus_str_is(record->headers[0].name, "n") &&
	       bus_str_is(record->headers[0].value, value) &&
	       delivery->timestamp_ms == 1000 + delivery->offset;
}

/* Are the records from `first` on the numbers of their offsets, each whole and with its time? */
static void
check_log(bus_adapter *adapter, int32_t partition, int64_t first, int64_t end)
{
	const bus_position start = { TOPIC, partition, first };
	const bus_poll_limit limit = { 10000, 8u << 20, 0 };
	bus_error err = BUS_ERROR_INIT;
	int64_t next = first;
	CU_ASSERT_EQUAL(offset_at(adapter, partition, BUS_OFFSET_EARLIEST), first);
	CU_ASSERT_EQUAL(offset_at(adapter, partition, BUS_OFFSET_LATEST), end);
	CU_ASSERT_EQUAL_FATAL(bus_adapter_start(adapter, &start, 1, &err), BUS_OK);
	for (int polls = 0; next < end && polls < 1000; polls++) {
		bus_poll poll;
		CU_ASSERT_EQUAL_FATAL(bus_adapter_poll(adapter, &limit, &poll, &err),
				      BUS_OK);
		for (size_t i = 0; i < poll.count; i++) {
			const bus_delivery *delivery = &poll.deliveries[i];
			CU_ASSERT_EQUAL(delivery->offset, next);
			CU_ASSERT(bus_is_filler(&delivery->record) || is_filled(delivery));
			next++;
		}
	}
	CU_ASSERT_EQUAL(next, end);
	bus_adapter_stop(adapter);
}

typedef struct scene {
	bus_adapter *old, *new; /* as they are, whatever the mover is given */
	bus_mover mover;
} scene;

static void
begin(scene *self, const char *from, const char *to)
{
	*self = (scene){ .old = open_at(OLD), .new = open_at(NEW) };
	self->mover = (bus_mover){
		.from = open_at(from),
		.to = open_at(to),
		.prefix = "busline.",
		.clock = bus_clock_system(),
		.stop = &stop,
	};
	bus_mover_init(&self->mover);
}

static void
end(scene *self)
{
	bus_mover_fini(&self->mover);
	bus_adapter_close(self->mover.from);
	bus_adapter_close(self->mover.to);
	bus_adapter_close(self->old);
	bus_adapter_close(self->new);
}

static void
forget(void)
{
	bus_memory_drop(OLD);
	bus_memory_drop(NEW);
}

/* Of the worker of partition 1. */
static int64_t position = -1;

/* Records of partition 1 that come just before the seal, from this one on. */
static int late_first, late_count;

/* The whole of a move but for what makes it come true. */
static bus_status
move(bus_mover *mover, bus_error *err)
{
	bus_status status = bus_mover_plan(mover, err);
	if (status == BUS_OK) {
		mover->parts[1].position = position;
	}
	if (status == BUS_OK) {
		status = bus_mover_check(mover, err);
	}
	if (status == BUS_OK) {
		status = bus_mover_prepare(mover, err);
	}
	if (status == BUS_OK) {
		status = bus_mover_follow(mover, err);
	}
	if (status == BUS_OK && late_count > 0) {
		fill(mover->from, 1, late_first, late_count);
	}
	if (status == BUS_OK) {
		status = bus_mover_seal(mover, true, err);
	}
	if (status == BUS_OK) {
		status = bus_mover_finish(mover, err);
	}
	if (status == BUS_OK) {
		status = bus_mover_compare(mover, INT64_MAX, err);
	}
	return status == BUS_OK ? bus_mover_recheck(mover, err) : status;
}

static void
must_move(scene *self)
{
	bus_error err = BUS_ERROR_INIT;
	bus_status status = move(&self->mover, &err);
	if (status != BUS_OK) {
		fprintf(stderr, "\n%s\n", err.text);
	}
	CU_ASSERT_EQUAL_FATAL(status, BUS_OK);
}

static void
ends(scene *self, bus_status status, const char *says)
{
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(move(&self->mover, &err), status);
	if (strstr(err.text, says) == NULL) {
		fprintf(stderr, "\nsaid: %s\n", err.text);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, says));
}

static void
refused(scene *self, const char *says)
{
	ends(self, BUS_E_REJECT, says);
}

static void
put_fillers(bus_adapter *adapter, int32_t partition, int count)
{
	for (int i = 0; i < count; i++) {
		bus_publication filler = { .topic = TOPIC,
					   .partition = partition,
					   .record = bus_filler() };
		bus_error err = BUS_ERROR_INIT;
		CU_ASSERT_EQUAL(bus_adapter_publish(adapter, &filler, 1, 0, &err), BUS_OK);
	}
}

/* One filler of telling the brokers apart lies in partition 0, at its end. */
static int64_t
with_filler(int32_t partition, int64_t count)
{
	return count + (partition == 0);
}

/* ---- cases ---- */

static void
case_whole(void)
{
	scene s;
	begin(&s, OLD, NEW);
	make_topic(s.old, TOPIC, PARTITIONS);
	make_topic(s.old, "other.topic", 1);
	fill_all(s.old, 0, 7000);
	must_move(&s);
	CU_ASSERT_EQUAL(bus_mover_lag(&s.mover), 0);
	for (int32_t p = 0; p < PARTITIONS; p++) {
		check_log(s.new, p, 0, with_filler(p, 7000));
		CU_ASSERT_EQUAL(s.mover.parts[p].records, 7000);
		CU_ASSERT_EQUAL(s.mover.parts[p].compared, 7000);
	}
	/* sealed here, open there, and what is no topic of ours is not there */
	bus_publication late = { .topic = TOPIC, .record.value = BUS_STR("late") };
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(bus_adapter_publish(s.old, &late, 1, 1000, &err), BUS_E_RETRY);
	int32_t count;
	bus_error missing = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(bus_adapter_partitions(s.new, "other.topic", 0, &count, &missing),
			BUS_E_FATAL);
	end(&s);
	forget();
}

/* What comes last is what a copy that stops early lacks. */
static void
case_late(void)
{
	for (int count = 1; count <= 3; count++) {
		scene s;
		begin(&s, OLD, NEW);
		make_topic(s.old, TOPIC, PARTITIONS);
		fill(s.old, 1, 0, 50);
		late_first = 50;
		late_count = count;
		must_move(&s);
		late_count = 0;
		check_log(s.new, 1, 0, 50 + count);
		end(&s);
		forget();
	}
}

/* There, more there, and back: the old log is a beginning and goes on. */
static void
case_back(void)
{
	scene s;
	begin(&s, OLD, NEW);
	make_topic(s.old, TOPIC, PARTITIONS);
	fill(s.old, 1, 0, 500);
	must_move(&s);
	fill(s.new, 1, 500, 500);
	end(&s);
	begin(&s, NEW, OLD);
	must_move(&s);
	CU_ASSERT_EQUAL(s.mover.parts[1].begun, 500);
	CU_ASSERT_EQUAL(s.mover.parts[1].records, 500);
	check_log(s.old, 1, 0, 1000);
	fill(s.old, 1, 1000, 1);
	end(&s);
	forget();
}

static void
case_trimmed(void)
{
	scene s;
	bus_error err = BUS_ERROR_INIT;
	begin(&s, OLD, NEW);
	make_topic(s.old, TOPIC, PARTITIONS);
	fill_all(s.old, 0, 12000);
	CU_ASSERT_EQUAL(bus_memory_trim(OLD, TOPIC, 0, 11000, &err), BUS_OK);
	CU_ASSERT_EQUAL(bus_memory_trim(OLD, TOPIC, 1, 12000, &err), BUS_OK);
	must_move(&s);
	check_log(s.new, 0, 11000, 12001);
	check_log(s.new, 1, 12000, 12000);
	check_log(s.new, 2, 0, 12000);
	CU_ASSERT_EQUAL(s.mover.parts[1].fillers, 12000);
	end(&s);
	/* again, from a half of that: the beginning is fillers only */
	bus_memory_drop(NEW);
	begin(&s, OLD, NEW);
	CU_ASSERT_EQUAL(bus_adapter_seal(s.old, TOPIC, false, 0, &err), BUS_OK);
	make_topic(s.new, TOPIC, PARTITIONS);
	put_fillers(s.new, 0, 300);
	must_move(&s);
	CU_ASSERT_EQUAL(s.mover.parts[0].begun, 300);
	check_log(s.new, 0, 11000, 12002);
	end(&s);
	forget();
}

/* Publications fail or may have happened, polls are lost, deliveries come in pieces. */
static void
case_bad_day(void)
{
	static const char *const days[] = {
		"fault+" NEW "?fail=0.05&seed=1",
		"fault+" NEW "?uncertain=0.03&seed=2",
		"fault+" NEW "?uncertain=0.03&fail=0.05&drop=0.2&seed=3",
	};
	for (size_t day = 0; day < sizeof(days) / sizeof(days[0]); day++) {
		scene s;
		begin(&s, "fault+" OLD "?drop=0.2&delay=0.5&seed=4", days[day]);
		make_topic(s.old, TOPIC, PARTITIONS);
		fill_all(s.old, 0, 60);
		must_move(&s);
		CU_ASSERT(s.mover.recoveries > 0);
		for (int32_t p = 0; p < PARTITIONS; p++) {
			check_log(s.new, p, 0, with_filler(p, 60));
			CU_ASSERT_EQUAL(s.mover.parts[p].records, 60);
		}
		end(&s);
		forget();
	}
}

static void
case_doubled(void)
{
	scene s;
	begin(&s, OLD, "fault+" NEW "?duplicate=0.01&seed=5");
	make_topic(s.old, TOPIC, PARTITIONS);
	fill_all(s.old, 0, 1000);
	refused(&s, "got in twice");
	end(&s);
	/* and run again it is not taken for a beginning */
	begin(&s, OLD, NEW);
	refused(&s, "no beginning");
	end(&s);
	forget();
}

static void
case_refused(void)
{
	static const struct {
		int first, count; /* what is on the new side, in partition 1 */
		int64_t trim;
		int64_t position; /* of the worker */
		const char *says; /* NULL: it is gone on with */
	} rows[] = {
		{ 0, 0, 0, -1, NULL },
		{ 0, 100, 0, -1, NULL },
		{ 0, 40, 0, -1, NULL },
		{ 0, 50, 20, 20, NULL },
		{ 1, 40, 0, 100, "busline.scale/1@0" },
		{ 61, 40, 0, 100, "busline.scale/1@0" },
		{ 0, 101, 0, 100, "longer" },
		{ 0, 50, 20, 19, "begins later" },
		{ 0, 50, 20, -1, "begins later" },
		{ 0, 50, 50, 50, "all records were cut off" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		scene s;
		bus_error err = BUS_ERROR_INIT;
		begin(&s, OLD, NEW);
		make_topic(s.old, TOPIC, PARTITIONS);
		make_topic(s.new, TOPIC, PARTITIONS);
		fill(s.old, 1, 0, 100);
		fill(s.new, 1, rows[i].first, rows[i].count);
		CU_ASSERT_EQUAL(bus_memory_trim(NEW, TOPIC, 1, rows[i].trim, &err),
				BUS_OK);
		position = rows[i].position;
		if (rows[i].says == NULL) {
			must_move(&s);
			check_log(s.new, 1, rows[i].trim, 100);
		} else {
			refused(&s, rows[i].says);
			/* and was not added to */
			CU_ASSERT_EQUAL(offset_at(s.new, 1, BUS_OFFSET_LATEST),
					rows[i].count);
		}
		position = -1;
		end(&s);
		forget();
	}
}

/* Fillers in the place of records are no beginning, wherever they are. */
static void
case_hollow(void)
{
	for (int first = 0; first < 3; first++) {
		scene s;
		begin(&s, OLD, NEW);
		make_topic(s.old, TOPIC, PARTITIONS);
		make_topic(s.new, TOPIC, PARTITIONS);
		fill(s.old, 1, 0, 40);
		fill(s.new, 1, 0, 10 * first);
		put_fillers(s.new, 1, 10);
		fill(s.new, 1, 10 * first + 10, first == 1 ? 10 : 0);
		refused(&s, "different records");
		end(&s);
		forget();
	}
}

static void
case_partitions(void)
{
	scene s;
	begin(&s, OLD, NEW);
	make_topic(s.old, TOPIC, PARTITIONS);
	make_topic(s.new, TOPIC, PARTITIONS + 1);
	refused(&s, "3 partitions, and 4");
	end(&s);
	forget();
}

static void
case_same(void)
{
	scene s;
	begin(&s, OLD, "fault+" OLD "?seed=1");
	make_topic(s.old, TOPIC, PARTITIONS);
	fill_all(s.old, 0, 10);
	refused(&s, "the same broker");
	fill(s.old, 1, 10, 1); /* and was not sealed */
	end(&s);
	/* also one that a run has left sealed */
	begin(&s, OLD, "fault+" OLD "?seed=1");
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(bus_adapter_seal(s.old, TOPIC, true, 0, &err), BUS_OK);
	refused(&s, "the same broker");
	fill(s.old, 1, 11, 1);
	end(&s);
	forget();
}

/* Somebody writes to the new side meanwhile. */
static bus_status
disturb(void *ctx, bus_error *err)
{
	scene *self = ctx;
	bus_publication publication = { .topic = TOPIC,
					.partition = 1,
					.record.value = BUS_STR("mine") };
	if (self->mover.reading) {
		self->mover.tick = NULL;
		return bus_adapter_publish(self->new, &publication, 1, 0, err);
	}
	return BUS_OK;
}

static void
case_disturbed(void)
{
	scene s;
	begin(&s, OLD, NEW);
	make_topic(s.old, TOPIC, PARTITIONS);
	fill_all(s.old, 0, 20000);
	s.mover.tick = disturb;
	s.mover.ctx = &s;
	refused(&s, "another producer writes there");
	end(&s);
	forget();
}

/* The old side was left sealed; while it is copied it takes records. */
static bus_status
publish_meanwhile(void *ctx, bus_error *err)
{
	scene *self = ctx;
	(void)err;
	if (self->mover.reading) {
		self->mover.tick = NULL;
		fill(self->old, 1, 20000, 1);
	}
	return BUS_OK;
}

static void
case_left_sealed(void)
{
	scene s;
	bus_error err = BUS_ERROR_INIT;
	begin(&s, OLD, NEW);
	make_topic(s.old, TOPIC, PARTITIONS);
	fill_all(s.old, 0, 20000);
	CU_ASSERT_EQUAL(bus_adapter_seal(s.old, TOPIC, true, 0, &err), BUS_OK);
	s.mover.tick = publish_meanwhile;
	s.mover.ctx = &s;
	must_move(&s);
	CU_ASSERT_PTR_NULL(s.mover.tick);
	check_log(s.new, 1, 0, 20001);
	end(&s);
	forget();
}

static bus_status
make_meanwhile(void *ctx, bus_error *err)
{
	scene *self = ctx;
	(void)err;
	if (self->mover.reading) {
		self->mover.tick = NULL;
		make_topic(self->old, "busline.saga", 1);
	}
	return BUS_OK;
}

static void
case_made_meanwhile(void)
{
	scene s;
	begin(&s, OLD, NEW);
	make_topic(s.old, TOPIC, PARTITIONS);
	fill_all(s.old, 0, 20000);
	s.mover.tick = make_meanwhile;
	s.mover.ctx = &s;
	ends(&s, BUS_E_ABORT, "busline.saga of the old broker was made");
	end(&s);
	/* the next run takes it along */
	begin(&s, OLD, NEW);
	must_move(&s);
	CU_ASSERT_EQUAL(s.mover.topic_count, 2);
	end(&s);
	forget();
}

/* Retention is at work, on both sides, while records are copied and compared. */
static bus_status
trim_meanwhile(void *ctx, bus_error *err)
{
	scene *self = ctx;
	bus_status status = BUS_OK;
	if (self->mover.to_compare > 0) {
		self->mover.tick = NULL;
		status = bus_memory_trim(OLD, TOPIC, 1, 19000, err);
		if (status == BUS_OK) {
			status = bus_memory_trim(NEW, TOPIC, 2, 19500, err);
		}
	} else if (self->mover.reading && self->mover.parts[0].from_start == 0) {
		status = bus_memory_trim(OLD, TOPIC, 0, 18000, err);
	}
	return status;
}

static void
case_cut_meanwhile(void)
{
	scene s;
	begin(&s, OLD, NEW);
	make_topic(s.old, TOPIC, PARTITIONS);
	fill_all(s.old, 0, 20000);
	s.mover.tick = trim_meanwhile;
	s.mover.ctx = &s;
	must_move(&s);
	CU_ASSERT_PTR_NULL(s.mover.tick);
	check_log(s.new, 0, 18000, 20001);
	check_log(s.new, 1, 0, 20000);
	check_log(s.new, 2, 19500, 20000);
	/* the last thousand were compared all the same */
	CU_ASSERT(s.mover.parts[1].compared >= 1000);
	end(&s);
	forget();
}

static void
case_stopped(void)
{
	scene s;
	bus_error err = BUS_ERROR_INIT;
	begin(&s, OLD, NEW);
	make_topic(s.old, TOPIC, PARTITIONS);
	fill_all(s.old, 0, 10);
	stop = 1;
	CU_ASSERT_EQUAL(move(&s.mover, &err), BUS_E_ABORT);
	stop = 0;
	end(&s);
	forget();
}

/* What is written to stderr between the two. */
static int real_stderr;
static FILE *captured;

static void
capture(void)
{
	fflush(stderr);
	captured = tmpfile();
	CU_ASSERT_PTR_NOT_NULL_FATAL(captured);
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

static void
check_captured(const char *expected)
{
	char text[1024] = "";
	fflush(stderr);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	rewind(captured);
	size_t length = fread(text, 1, sizeof(text) - 1, captured);
	text[length] = '\0';
	fclose(captured);
	if (strcmp(text, expected) != 0) {
		fprintf(stderr, "\nsaid: %s\n", text);
	}
	CU_ASSERT_STRING_EQUAL(text, expected);
}

static void
case_progress(void)
{
	static const struct {
		bool terminal, quiet;
		const char *said;
	} rows[] = {
		{ false, false,
		  "copying: 600 records copied, 1000 left, 250/s, 4 s left\n"
		  "comparing: 100 records compared, 900 left, 20/s, 45 s left\n" },
		{ true, false,
		  "\rcopying: 100 records copied, 1500 left, 0/s\033[K"
		  "\rcopying: 600 records copied, 1000 left, 250/s, 4 s left\033[K"
		  "\rcomparing: 0 records compared, 1000 left, 0/s\033[K"
		  "\rcomparing: 100 records compared, 900 left, 20/s, 45 s left\033[K"
		  "\n" },
		{ true, true, "" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_clock_manual manual;
		bus_clock_manual_init(&manual, 0);
		manual.mono_ms = 1000000;
		bus_mover_part part = {
			.from_end = 2000, .begun = 400, .next = 500, .records = 100
		};
		bus_mover mover = { .parts = &part, .part_count = 1 };
		bus_cli cli = { .clock = &manual.clock, .quiet = rows[i].quiet };
		bus_mover_progress progress = { &cli, &mover, rows[i].terminal,
						.doing = "" };
		capture();
		bus_mover_progress_begin(&progress, "copying");
		bus_mover_progress_show(&progress);
		manual.mono_ms += 2000;
		part.records = 500, part.fillers = 100, part.next = 1000;
		bus_mover_progress_show(&progress);
		bus_mover_progress_show(&progress);
		bus_mover_progress_begin(&progress, "comparing");
		mover.to_compare = 1000;
		if (rows[i].terminal) {
			bus_mover_progress_show(&progress);
		}
		manual.mono_ms += 5000;
		mover.compared = 100;
		bus_mover_progress_show(&progress);
		bus_mover_progress_end(&progress);
		check_captured(rows[i].said);
	}
}

static const bus_case cases[] = {
	{ "a topic is moved whole, sealed here and open there", case_whole },
	{ "what comes just before the seal is copied", case_late },
	{ "back again it goes on behind what is there", case_back },
	{ "what was cut off keeps its offsets, and is cut off there too", case_trimmed },
	{ "a broker on a bad day gets each record once", case_bad_day },
	{ "a record that got in twice is found, also by the next run", case_doubled },
	{ "only a beginning of the log is gone on with", case_refused },
	{ "fillers do not stand for records", case_hollow },
	{ "other partitions are refused", case_partitions },
	{ "a broker is not moved to itself", case_same },
	{ "another writer on the new side is found", case_disturbed },
	{ "an old side that was left sealed is open while it is copied",
	  case_left_sealed },
	{ "a topic made meanwhile is not left behind", case_made_meanwhile },
	{ "retention at work is no difference", case_cut_meanwhile },
	{ "told to stop it stops", case_stopped },
	{ "progress tells rate and time left", case_progress },
	{ 0 },
};

const bus_suite_def bus_suite = { "mover", cases, NULL, NULL };
