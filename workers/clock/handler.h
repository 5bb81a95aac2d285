/*
 * handler.h - clock: timers that are due become events
 */
#ifndef BUS_CLOCK_HANDLER_H
#define BUS_CLOCK_HANDLER_H

#include "workers/engine/service.h"

/**
 * bus_clock_run - fire timers, or stand by while another clock does, until told to stop
 *
 * Returns BUS_OK after an orderly stop. Errors: BUS_E_FATAL.
 */
BUS_MUST_CHECK bus_status bus_clock_run(const bus_service *service, bus_error *err);

#endif
