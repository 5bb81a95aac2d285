/*
 * corpus.h - main() of a fuzz target that is built without libFuzzer
 *
 * Runs the files named, or those of the folders named, once each: the corpus as a test.
 * BUS_LIBFUZZER is defined where libFuzzer brings a main() of its own.
 */
#ifndef BUS_FUZZ_CORPUS_H
#define BUS_FUZZ_CORPUS_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Frees what the target keeps from one input to the next. */
void fuzz_end(void);

#ifndef BUS_LIBFUZZER

static bool
run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		return false;
	}
	static uint8_t data[1 << 20];
	size_t size = fread(data, 1, sizeof(data), file);
	fclose(file);
	/* of exactly that size: a read past the end is found */
	uint8_t *copy = malloc(size + (size == 0));
	if (copy == NULL) {
		return false;
	}
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return true;
}

static unsigned
run_folder(const char *path)
{
	unsigned ran = 0;
	DIR *folder = opendir(path);
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
		char name[4096];
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.') {
			ran += run_file(name);
		}
	}
	if (folder != NULL) {
		closedir(folder);
	}
	return ran;
}

int
main(int argc, char **argv)
{
	unsigned ran = 0;
	for (int i = 1; i < argc; i++) {
		struct stat info;
		bool is_folder = stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode);
		ran += is_folder ? run_folder(argv[i]) : run_file(argv[i]);
	}
	fuzz_end();
	printf("%u inputs\n", ran);
	return ran > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif

#endif
