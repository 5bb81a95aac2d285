/*
 * mover_show.h - what a person sees of a move: how far it is, and what came of it
 */
#ifndef BUS_CLI_MOVER_SHOW_H
#define BUS_CLI_MOVER_SHOW_H

#include "apps/cli/mover.h"
#include "apps/cli/output.h"

/* The first three are the caller's, the rest is zero. */
typedef struct bus_mover_progress {
	const bus_cli *cli;
	const bus_mover *mover;
	bool terminal; /* one line that is written over, else lines of a log */
	const char *doing;
	int64_t begun_ms, begun_done, shown_ms;
	bool shown;
} bus_mover_progress;

/* What is being done from now on: done, left, rate and time left are of this. */
void bus_mover_progress_begin(bus_mover_progress *progress, const char *doing);
/* On stderr, if it is time and not --quiet; to be called again and again. */
void bus_mover_progress_show(bus_mover_progress *progress);
/* Before anything else is written there. */
void bus_mover_progress_end(bus_mover_progress *progress);

/* For the last lines of a report. */
typedef struct bus_mover_outcome {
	const char *from_url, *to_url;
	bool moved;
	int64_t spent_ms;
	int64_t sealed_ms;
} bus_mover_outcome;

/* One row per partition and the outcome, on stdout. */
void bus_mover_report(const bus_cli *cli, const bus_mover *mover,
		      const bus_mover_outcome *outcome);

#endif
