/*
 * digest.c - SHA-256 through OpenSSL's EVP
 */
#include "core/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"

struct bus_hasher {
	EVP_MD *algorithm; /* fetched once: a fetch takes longer than the hash of an event */
	EVP_MD_CTX *ctx;
};

/* OpenSSL refuses SHA-256 only when it cannot allocate or is configured away. */
static void
busp_digest_must(int ok)
{
	if (ok != 1) {
		fprintf(stderr, "busline: OpenSSL refuses SHA-256\n");
		abort();
	}
}

bus_hasher *
bus_hasher_create(void)
{
	bus_hasher *hasher = calloc(1, sizeof(*hasher));
	if (hasher == NULL) {
		busp_memory_short("a hasher", sizeof(*hasher));
	}
	hasher->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	hasher->ctx = EVP_MD_CTX_new();
	busp_digest_must(hasher->algorithm != NULL && hasher->ctx != NULL);
	bus_hasher_begin(hasher);
	return hasher;
}

void
bus_hasher_destroy(bus_hasher *hasher)
{
	if (hasher == NULL) {
		return;
	}
	EVP_MD_CTX_free(hasher->ctx);
	EVP_MD_free(hasher->algorithm);
	free(hasher);
}

void
bus_hasher_begin(bus_hasher *hasher)
{
	busp_digest_must(EVP_DigestInit_ex2(hasher->ctx, hasher->algorithm, NULL));
}

void
bus_hasher_add(bus_hasher *hasher, const void *data, size_t len)
{
	if (len > 0) {
		busp_digest_must(EVP_DigestUpdate(hasher->ctx, data, len));
	}
}

void
bus_hasher_field(bus_hasher *hasher, bus_str field)
{
	uint32_t len = field.data != NULL ? (uint32_t)field.len : UINT32_MAX;
	uint8_t prefix[4] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16),
			      (uint8_t)(len >> 8), (uint8_t)len };
	bus_hasher_add(hasher, prefix, sizeof(prefix));
	bus_hasher_add(hasher, field.data, field.len);
}

void
bus_hasher_be64(bus_hasher *hasher, uint64_t value)
{
	uint8_t bytes[8];
	for (int i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)(value >> (56 - 8 * i));
	}
	bus_hasher_add(hasher, bytes, sizeof(bytes));
}

bus_digest
bus_hasher_end(bus_hasher *hasher)
{
	bus_digest digest;
	unsigned len = 0;
	busp_digest_must(EVP_DigestFinal_ex(hasher->ctx, digest.bytes, &len));
	busp_digest_must(len == BUS_DIGEST_BYTES);
	return digest;
}

bus_digest
bus_digest_of(bus_str bytes)
{
	bus_hasher *hasher = bus_hasher_create();
	bus_hasher_add(hasher, bytes.data, bytes.len);
	bus_digest digest = bus_hasher_end(hasher);
	bus_hasher_destroy(hasher);
	return digest;
}
