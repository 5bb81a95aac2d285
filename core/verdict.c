/*
 * verdict.c - names of verdicts
 */
#include "core/verdict.h"

#include <stddef.h>

const char *
bus_verdict_name(bus_verdict verdict)
{
	switch (verdict) {
	case BUS_APPLIED:
		return "APPLIED";
	case BUS_IGNORED:
		return "IGNORED";
	case BUS_REJECTED:
		return "REJECTED";
	case BUS_REROUTED:
		return "REROUTED";
	case BUS_HELD:
		return "HELD";
	case BUS_VERDICT_COUNT:
		break;
	}
	return "?";
}
