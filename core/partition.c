/*
 * partition.c - murmur2 as Kafka computes it
 */
#include "core/partition.h"

uint32_t
bus_murmur2(bus_str key)
{
	const uint32_t m = 0x5bd1e995u;
	const uint8_t *data = (const uint8_t *)key.data;
	/* the length enters as Java's int */
	uint32_t h = 0x9747b28cu ^ (uint32_t)key.len;
	size_t left = key.len;
	for (; left >= 4; left -= 4, data += 4) {
		uint32_t k = (uint32_t)data[0] | (uint32_t)data[1] << 8 |
			     (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
		k *= m;
		k ^= k >> 24;
		k *= m;
		h *= m;
		h ^= k;
	}
	if (left > 0) {
		for (size_t i = left; i > 0; i--) {
			h ^= (uint32_t)data[i - 1] << (8 * (i - 1));
		}
		h *= m;
	}
	h ^= h >> 13;
	h *= m;
	h ^= h >> 15;
	return h;
}

int32_t
bus_partition_home(bus_str key, int32_t partitions)
{
	return (int32_t)(bus_murmur2(key) & 0x7fffffffu) % partitions;
}
