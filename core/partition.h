/*
 * partition.h - where an event is at home
 *
 * Source: Kafka's default partitioner (murmur2, seed 0x9747b28c, sign bit cleared).
 */
#ifndef BUS_CORE_PARTITION_H
#define BUS_CORE_PARTITION_H

#include "core/str.h"

/* 32-bit murmur2 as Kafka's Java client computes it. */
uint32_t bus_murmur2(bus_str key);

/* (murmur2(key) & 0x7fffffff) mod partitions; partitions >= 1. */
int32_t bus_partition_home(bus_str key, int32_t partitions);

#endif
