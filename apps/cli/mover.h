/*
 * mover.h - topics from one broker to another, every record at the offset it has
 *
 * DESIGN
 * The map of cursors is the identity. So a copy is written in order by one writer, who looks at
 * each offset that comes back; where the old log has no record (what retention cut off, marks of
 * transactions) the new one gets a filler (core/filler.h); and what is at the beginning of the
 * old log only as an offset is cut off from the new one, too. Whatever a run has written is a
 * beginning of the old log, and the next run goes on behind it.
 *
 *   plan      what is there, on both sides; changes nothing
 *   check     is what the new side has a beginning?
 *   prepare   topics on the new side; both sides open
 *   follow    copy until what is missing is little
 *   seal      the old side takes nothing more
 *   finish    copy the rest; ends are equal
 *   compare   read both sides back
 *   recheck   no topic has been made meanwhile
 *
 * Who calls decides what makes the move come true in between, and opens the old side if it fails.
 */
#ifndef BUS_CLI_MOVER_H
#define BUS_CLI_MOVER_H

#include <signal.h>

#include "broker-adapters/adapter.h"
#include "core/arena.h"
#include "core/digest.h"

/* Records of each partition that are compared before anything is added to a topic. */
#define BUS_MOVER_COMPARE_FIRST 64
/* And of each, before the move comes true. */
#define BUS_MOVER_COMPARE_LAST 1000

typedef struct bus_mover_part {
	const bus_topic_info *topic; /* as it is on the old side */
	int32_t partition;
	int64_t position;         /* of its worker, -1: nobody has one */
	int64_t from_start;       /* as last looked */
	int64_t from_end;         /* likewise */
	int64_t to_start;         /* when it was planned */
	int64_t next;             /* end of the new side: what comes next */
	int64_t begun;            /* next, when this run began */
	int64_t planned;          /* next, when what is being published is in */
	int64_t gap_end;          /* the record behind a gap that was met once */
	int64_t records, fillers; /* added by this run */
	bus_digest digest;        /* of what was compared last */
	int64_t compared;         /* records in it */
} bus_mover_part;

typedef struct bus_mover {
	/* the caller's */
	bus_adapter *from, *to;       /* to: NULL: only to seal and open */
	const char *prefix;           /* of topics */
	int32_t replication, min_isr; /* of topics that are made; 0: as on the old side */
	const bus_clock *clock;
	const volatile sig_atomic_t *stop;
	/* Called again and again while the mover works, at least about once a second; what is
	 * not BUS_OK ends the work. */
	bus_status (*tick)(void *ctx, bus_error *err);
	void *ctx;

	/* the mover's */
	bus_arena *arena; /* as long as it lives */
	const bus_topic_info *topics;
	size_t topic_count;
	bus_mover_part *parts; /* by topic, then partition */
	size_t part_count;
	size_t part_last; /* where the last delivery belonged */
	bus_publication *batch;
	size_t batch_count;
	bus_mover_part **batch_parts; /* of each publication */
	bool reading;       /* the old side is being read from each part's next */
	bool idle;          /* the last poll brought nothing */
	int64_t looked_ms;  /* at the old side's ends */
	int64_t heard_ms;   /* last delivery, or beginning of reading */
	int64_t trouble_ms; /* since when polls fail; 0: they do not */
	int64_t refused_ms; /* since when publications are not all durable; 0: they are */
	size_t gaps;        /* met so far */
	size_t recoveries;  /* from publications that were not all durable */
	int64_t to_compare; /* offsets of the comparison that is under way; 0: there is none */
	int64_t compared; /* of these */
	bus_hasher *hasher;
} bus_mover;

/* The caller has set its members. */
void bus_mover_init(bus_mover *mover);
void bus_mover_fini(bus_mover *mover);

/**
 * bus_mover_plan - the topics of the old side, and what the new side has of them
 *
 * Errors: BUS_E_REJECT they cannot be moved there (other partitions); those of the brokers.
 */
BUS_MUST_CHECK bus_status bus_mover_plan(bus_mover *mover, bus_error *err);

/**
 * bus_mover_check - is what the new side has a beginning of the old side?
 *
 * Errors: BUS_E_REJECT no: topic, partition and offset, and what to do.
 */
BUS_MUST_CHECK bus_status bus_mover_check(bus_mover *mover, bus_error *err);

/**
 * bus_mover_recheck - has the old side the topics it had when it was planned?
 *
 * Errors: BUS_E_ABORT no: one was made, or got partitions, and is not copied.
 */
BUS_MUST_CHECK bus_status bus_mover_recheck(bus_mover *mover, bus_error *err);

/* Makes the topics on the new side that are missing, and opens them; opens those of the old side
 * that a run has left sealed. Errors: BUS_E_REJECT both sides are the same broker. */
BUS_MUST_CHECK bus_status bus_mover_prepare(bus_mover *mover, bus_error *err);

/* Copies until what is missing is about a second's work. */
BUS_MUST_CHECK bus_status bus_mover_follow(bus_mover *mover, bus_error *err);

/* Seals all topics of the old side, or opens them. */
BUS_MUST_CHECK bus_status bus_mover_seal(bus_mover *mover, bool sealed, bus_error *err);

/* Asks the old side where it ends now. */
BUS_MUST_CHECK bus_status bus_mover_look(bus_mover *mover, bus_error *err);

/* Copies what is left of a sealed old side; then all ends are equal. */
BUS_MUST_CHECK bus_status bus_mover_finish(bus_mover *mover, bus_error *err);

/**
 * bus_mover_compare - read both sides and compare, record by record
 *
 * @last: so many records before the end of each partition; INT64_MAX: all
 *
 * What retention has cut off from one of them meanwhile is passed by. Fills in digest and
 * compared. Errors: BUS_E_REJECT they differ: where.
 */
BUS_MUST_CHECK bus_status bus_mover_compare(bus_mover *mover, int64_t last,
					    bus_error *err);

/* Records that are missing on the new side, as last looked. */
int64_t bus_mover_lag(const bus_mover *mover);
/* Added by this run, fillers too. */
int64_t bus_mover_added(const bus_mover *mover);

/* ---- between the mover's files ---- */

/* Longest single answer of a broker; a question that gets RETRY is asked again for
 * BUSP_MOVER_PATIENCE_MS. */
#define BUSP_MOVER_ANSWER_MS 8000
#define BUSP_MOVER_PATIENCE_MS 60000
/* Records in one publish. */
#define BUSP_MOVER_BATCH 5000
#define BUSP_MOVER_BATCH_BYTES (4u << 20)

/* Looks for the stop flag and calls tick. */
BUS_MUST_CHECK bus_status busp_mover_tick(bus_mover *mover, bus_error *err);
/* After a RETRY: BUS_OK if the same may be tried again, after a moment; err is reset. since_ms is
 * when it was tried first. */
BUS_MUST_CHECK bus_status busp_mover_again(bus_mover *mover, int64_t since_ms,
					   bus_error *err);
BUS_MUST_CHECK bus_status busp_mover_offset(bus_mover *mover, bus_adapter *adapter,
					    const bus_mover_part *part, bus_offset_at at,
					    int64_t *ret_offset, bus_error *err);
/* BUS_E_REJECT: what the new side has cannot be gone on with. */
bus_status busp_mover_refuse(const bus_mover_part *part, int64_t offset, const char *why,
			     bus_error *err);
/* The part of a delivery; NULL if nobody asked for it. */
bus_mover_part *busp_mover_part(bus_mover *mover, const char *topic, int32_t partition);

typedef struct busp_mover_range {
	int64_t lo, hi; /* offsets; lo == hi: nothing */
} busp_mover_range;

/* Compares one range per part; the parts' digests go on over it. */
BUS_MUST_CHECK bus_status busp_mover_compare_ranges(bus_mover *mover,
						    const busp_mover_range *ranges,
						    bus_error *err);

#endif
