/* saga_book.c - all definitions: the embedded ones and those of a directory */
#include "schemas/saga_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/embed.h"
#include "core/json.h"

#define FORM_SUFFIX ".schema.json" /* beside definitions, not one of them */
#define PATH_BYTES_MAX 4096

extern const bus_embedded bus_saga_files[];

struct bus_saga_book {
	bus_saga_definition **rows; /* by name and version */
	size_t count;
	size_t room;
};

const bus_embedded *
busp_saga_embedded(const char *name)
{
	for (const bus_embedded *file = bus_saga_files; file->name != NULL; file++) {
		if (strcmp(file->name, name) == 0) {
			return file;
		}
	}
	return NULL;
}

static bool
ends_with(const char *text, const char *suffix)
{
	size_t len = strlen(text);
	size_t suffix_len = strlen(suffix);
	return len > suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

/* A file is found by what it is called, so it is called what it is. */
static bus_status
check_file_name(const bus_saga_definition *definition, bus_error *err)
{
	char wanted[128];
	const char *slash = strrchr(definition->file, '/');
	const char *name = slash != NULL ? slash + 1 : definition->file;
	snprintf(wanted, sizeof(wanted), "%s.v%d.json", definition->name,
		 (int)definition->version);
	return strcmp(name, wanted) == 0 ?
		       BUS_OK :
		       bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "%s: holds version %d of %s; it must be called %s",
				     definition->file, (int)definition->version,
				     definition->name, wanted);
}

static bus_status
book_put(bus_saga_book *book, bus_saga_definition *definition, bool *ret_taken,
	 bus_error *err)
{
	const bus_saga_definition *other =
		bus_saga_book_find(book, bus_str_from(definition->name),
				   definition->version);
	if (other != NULL) {
		return strcmp(other->digest, definition->digest) == 0 ?
			       BUS_OK :
			       bus_error_set(err, BUS_E_FATAL, "config", 0,
					     "%s: there is another version %d of %s, in "
					     "%s; a changed definition gets a new version",
					     definition->file, (int)definition->version,
					     definition->name, other->file);
	}
	if (book->count == book->room) {
		size_t room = book->room == 0 ? 8 : 2 * book->room;
		void *rows = reallocarray(book->rows, room, sizeof(*book->rows));
		if (rows == NULL) {
			return bus_error_set(err, BUS_E_FATAL, "saga", 0, "out of memory");
		}
		book->rows = rows;
		book->room = room;
	}
	book->rows[book->count++] = definition;
	*ret_taken = true;
	return BUS_OK;
}

static bus_status
book_add(bus_saga_book *book, bus_str text, const char *file,
	 const bus_registry *registry, bus_error *err)
{
	bus_error why = BUS_ERROR_INIT;
	bus_saga_definition *definition;
	bool taken = false;
	bus_saga_report *report = calloc(1, sizeof(*report));
	if (report == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "saga", 0, "out of memory");
	}
	bus_status status =
		bus_saga_parse(text, file, registry, report, &definition, &why);
	free(report);
	if (status != BUS_OK) {
		return bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "%s; `busline saga lint` tells all", why.text);
	}
	status = check_file_name(definition, err);
	if (status == BUS_OK) {
		status = book_put(book, definition, &taken, err);
	}
	if (!taken) {
		bus_saga_destroy(definition);
	}
	return status;
}

static bus_status
read_file(const char *path, bus_buf *text, bus_error *err)
{
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "config", errno,
				     "%s: cannot be read: %s", path, strerror(errno));
	}
	size_t len;
	do {
		len = fread(bus_buf_reserve(text, 4096), 1, 4096, file);
		text->len += len;
	} while (len > 0 && text->len <= BUS_EVENT_BYTES_MAX);
	bool failed = ferror(file) != 0;
	int code = errno;
	fclose(file);
	return failed ? bus_error_set(err, BUS_E_FATAL, "config", code,
				      "%s: cannot be read: %s", path, strerror(code)) :
			BUS_OK;
}

static int
is_definition(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && ends_with(entry->d_name, ".json") &&
	       !ends_with(entry->d_name, FORM_SUFFIX);
}

static bus_status
add_directory(bus_saga_book *book, const char *directory, const bus_registry *registry,
	      bus_error *err)
{
	struct dirent **entries;
	bus_status status = BUS_OK;
	int count = scandir(directory, &entries, is_definition, alphasort);
	if (count < 0) {
		return bus_error_set(err, BUS_E_FATAL, "config", errno,
				     "saga.definitions: directory %s cannot be read: %s",
				     directory, strerror(errno));
	}
	for (int i = 0; i < count; i++) {
		BUS_BUF_AUTO text = { 0 };
		char path[PATH_BYTES_MAX];
		snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		free(entries[i]);
		if (status == BUS_OK) {
			status = read_file(path, &text, err);
		}
		if (status == BUS_OK) {
			status = book_add(book, bus_buf_view(&text), path, registry, err);
		}
	}
	free(entries);
	return status;
}

static int
compare(const void *a, const void *b)
{
	const bus_saga_definition *x = *(bus_saga_definition *const *)a;
	const bus_saga_definition *y = *(bus_saga_definition *const *)b;
	int order = strcmp(x->name, y->name);
	return order != 0 ? order : (x->version > y->version) - (x->version < y->version);
}

bus_status
bus_saga_book_create(const char *directory, const bus_registry *registry,
		     bus_saga_book **ret_book, bus_error *err)
{
	bus_saga_book *book = calloc(1, sizeof(*book));
	bus_status status = BUS_OK;
	if (book == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "saga", 0, "out of memory");
	}
	for (const bus_embedded *file = bus_saga_files;
	     file->name != NULL && status == BUS_OK; file++) {
		if (!ends_with(file->name, FORM_SUFFIX)) {
			status = book_add(book, (bus_str){ file->data, file->len },
					  file->name, registry, err);
		}
	}
	if (status == BUS_OK && directory != NULL && *directory != '\0') {
		status = add_directory(book, directory, registry, err);
	}
	if (status != BUS_OK) {
		bus_saga_book_destroy(book);
		return status;
	}
	if (book->count > 0) {
		qsort(book->rows, book->count, sizeof(*book->rows), compare);
	}
	*ret_book = book;
	return BUS_OK;
}

void
bus_saga_book_destroy(bus_saga_book *book)
{
	for (size_t i = 0; book != NULL && i < book->count; i++) {
		bus_saga_destroy(book->rows[i]);
	}
	if (book != NULL) {
		free(book->rows);
	}
	free(book);
}

const bus_saga_definition *
bus_saga_book_find(const bus_saga_book *book, bus_str name, int32_t version)
{
	const bus_saga_definition *found = NULL;
	for (size_t i = 0; i < book->count; i++) {
		const bus_saga_definition *row = book->rows[i];
		if (bus_str_is(name, row->name) &&
		    (version == 0 ? found == NULL || row->version > found->version :
				    row->version == version)) {
			found = row;
		}
	}
	return found;
}

const bus_saga_definition *const *
bus_saga_book_all(const bus_saga_book *book, size_t *ret_count)
{
	*ret_count = book->count;
	return (const bus_saga_definition *const *)book->rows;
}
