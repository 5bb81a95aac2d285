/*
 * verdict.h - waiting until PostgreSQL says what became of the events just published
 */
#ifndef BUS_CLI_VERDICT_H
#define BUS_CLI_VERDICT_H

#include "apps/cli/publisher.h"

/**
 * bus_cli_await_verdicts - of every event of the batch
 *
 * Fills verdict and reason of the batch, counts rejected ones. An event away from home is
 * followed to its home partition; a repeat has the verdict of the first arrival.
 *
 * Blocks:  up to the publisher's time-out; then BUS_EXIT_TIMEOUT.
 */
bus_exit bus_cli_await_verdicts(bus_cli_publisher *publisher);

#endif
