/*
 * asyncapi_generate.c - writes the pages made from the registry
 *
 * asyncapi_generate ROOT: schemas/asyncapi.yaml and docs/events.md below ROOT. A unit
 * test fails when one of them is not what would be written.
 */
#include <stdio.h>
#include <stdlib.h>

#include "schemas/docs.h"

typedef struct page {
	const char *path;
	void (*write)(bus_buf *buf);
} page;

static const page pages[] = {
	{ "schemas/asyncapi.yaml", busp_asyncapi_write },
	{ "docs/events.md", busp_events_write },
};

static bool
save(const char *path, bus_str text)
{
	FILE *file = fopen(path, "w");
	if (file == NULL) {
		perror(path);
		return false;
	}
	bool written = fwrite(text.data, 1, text.len, file) == text.len;
	if (fclose(file) != 0 || !written) {
		perror(path);
		return false;
	}
	return true;
}

int
main(int argc, char **argv)
{
	bool good = true;
	if (argc != 2) {
		fprintf(stderr, "usage: asyncapi_generate ROOT\n");
		return 64;
	}
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		BUS_BUF_AUTO text = { 0 };
		char path[4096];
		snprintf(path, sizeof(path), "%s/%s", argv[1], pages[i].path);
		pages[i].write(&text);
		good = save(path, bus_buf_view(&text)) && good;
	}
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
