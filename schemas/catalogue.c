/*
 * catalogue.c - which families and types there are: embedded files, and those of a directory
 *
 * DESIGN
 * A catalogue is made whole or not at all. That of the embedded files is made once, by
 * whoever asks first. Adding a directory makes a second one of both, tries to compile every
 * schema of it, and puts it in the place of the first. From then on it is the same for all,
 * for the life of the process.
 */
#include "schemas/catalogue.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/embed.h"
#include "core/json.h"

extern const bus_embedded bus_schema_files[];

#define TYPE_PREFIX "io.busline."
#define TOPIC_PREFIX "busline."
#define NAME_BYTES_MAX 128 /* of a family, of a file */
#define PATH_BYTES_MAX 4096
/* Beside families in a user's directory; not one of them. */
#define SAGAS_FOLDER "sagas"

static const bus_family embedded_families[] = {
	{ "catalog", "busline.catalog", "What there is: tenants, apps and artifacts." },
	{ "deploy", "busline.deploy",
	  "Releases of apps: asked for, rolled out, rolled back." },
	{ "route", "busline.route",
	  "Which releases get a host's traffic, and how much of it." },
	{ "saga", "busline.saga",
	  "Actions of several steps: started, answered, decided on, ended." },
	{ "scale", "busline.scale",
	  "How many replicas of a process of an app shall run." },
	{ NULL, NULL, NULL },
};

static const bus_family common_families[] = {
	{ "dlq", NULL,
	  "What operators do with dead letters, on the topic of the worker that has them." },
	{ "timer", NULL,
	  "Timers that are due, on the topic of the worker that set them." },
	{ NULL, NULL, NULL },
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static busp_catalogue *current;
static bus_error trouble;
static atomic_int registries; /* that point into current */

/* ---- memory ---- */

/* A table of some hundred rows, made at start: without memory there is nothing to go on with. */
static void *
must(void *memory)
{
	if (memory == NULL) {
		fputs("no memory for the table of events\n", stderr);
		abort();
	}
	return memory;
}

static busp_catalogue *
catalogue_create(void)
{
	size_t count = sizeof(embedded_families) / sizeof(embedded_families[0]);
	busp_catalogue *catalogue = must(calloc(1, sizeof(*catalogue)));
	catalogue->families = must(calloc(count, sizeof(bus_family)));
	memcpy(catalogue->families, embedded_families, sizeof(embedded_families));
	return catalogue;
}

static void
catalogue_destroy(busp_catalogue *catalogue)
{
	for (size_t i = 0; i < catalogue->count; i++) {
		json_decref(catalogue->documents[i]);
	}
	for (size_t i = 0; i < catalogue->text_count; i++) {
		free(catalogue->texts[i]);
	}
	free(catalogue->families);
	free(catalogue->types);
	free(catalogue->documents);
	free(catalogue->texts);
	free(catalogue);
}

/* A text that lives as long as the catalogue. */
static const char *
keep(busp_catalogue *catalogue, bus_str text)
{
	catalogue->texts = must(reallocarray(catalogue->texts, catalogue->text_count + 1,
					     sizeof(char *)));
	char *copy = must(calloc(1, text.len + 1));
	memcpy(copy, text.data, text.len);
	catalogue->texts[catalogue->text_count++] = copy;
	return copy;
}

/* ---- one file ---- */

static const bus_family *
named(const bus_family *family, bus_str name)
{
	for (; family->name != NULL; family++) {
		if (bus_str_is(name, family->name)) {
			return family;
		}
	}
	return NULL;
}

/* "deploy/requested.v1.json" has "io.busline.deploy.requested.v1". */
static bool
type_fits_file(bus_str type, const char *file)
{
	const char *slash = strchr(file, '/');
	size_t family_len = (size_t)(slash - file);
	size_t fact_len = strlen(slash + 1) - strlen(".json");
	size_t prefix_len = strlen(TYPE_PREFIX);
	return type.len == prefix_len + family_len + 1 + fact_len &&
	       memcmp(type.data, TYPE_PREFIX, prefix_len) == 0 &&
	       memcmp(type.data + prefix_len, file, family_len) == 0 &&
	       type.data[prefix_len + family_len] == '.' &&
	       memcmp(type.data + prefix_len + family_len + 1, slash + 1, fact_len) == 0;
}

static bus_event_type *
catalogue_row(busp_catalogue *catalogue, json_t *document)
{
	if (catalogue->count == catalogue->room) {
		catalogue->room = catalogue->room == 0 ? 64 : 2 * catalogue->room;
		catalogue->types = must(reallocarray(catalogue->types, catalogue->room,
						     sizeof(bus_event_type)));
		catalogue->documents =
			must(reallocarray(catalogue->documents, catalogue->room,
					  sizeof(json_t *)));
	}
	catalogue->documents[catalogue->count] = document;
	return &catalogue->types[catalogue->count++];
}

/* @name: "deploy/requested.v1.json"; @text: lives as long as the catalogue. Families are
 * put in afterwards: their table may still move. */
static bus_status
catalogue_add(busp_catalogue *catalogue, const char *name, bus_str text, bus_error *err)
{
	json_t *document;
	bus_error why = BUS_ERROR_INIT;
	if (bus_json_parse(text, &document, &why) != BUS_OK) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0, "%s: %s", name,
				     why.text);
	}
	bus_str type = bus_json_str(document, "x-busline-type");
	bus_event_type *row = catalogue_row(catalogue, document);
	*row = (bus_event_type){
		.type = type.data,
		.schema_uri = bus_json_str(document, "$id").data,
		.schema_text = text.data,
		.title = bus_json_str(document, "title").data,
	};
	const char *missing = row->schema_uri == NULL ? "$id" :
			      row->title == NULL      ? "title" :
			      type.data == NULL       ? "x-busline-type" :
							NULL;
	if (missing != NULL) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0,
				     "%s: has no \"%s\", or it is no text", name,
				     missing);
	}
	if (!type_fits_file(type, name)) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0,
				     "%s: x-busline-type %s is not that of its folder and "
				     "name",
				     name, type.data);
	}
	return BUS_OK;
}

static bus_status
add_embedded(busp_catalogue *catalogue, bus_error *err)
{
	bus_status status = BUS_OK;
	for (const bus_embedded *file = bus_schema_files;
	     file->name != NULL && status == BUS_OK; file++) {
		status = catalogue_add(catalogue, file->name,
				       (bus_str){ file->data, file->len }, err);
	}
	return status;
}

/* ---- a directory ---- */

/* Lower-case letters, digits and dashes, a letter first. */
static bool
is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool letter = text[i] >= 'a' && text[i] <= 'z';
		bool other = (text[i] >= '0' && text[i] <= '9') || text[i] == '-';
		if (!letter && !(other && i > 0)) {
			return false;
		}
	}
	return len > 0 && len < NAME_BYTES_MAX;
}

/* "<fact>.v<N>.json"; a fact may have parts: "app.created". */
static bool
is_fact_file(const char *name)
{
	const char *end = strstr(name, ".json");
	const char *version = end;
	while (version != NULL && version > name && version[-1] >= '0' &&
	       version[-1] <= '9') {
		version--;
	}
	if (end == NULL || end[strlen(".json")] != '\0' || version == end ||
	    *version == '0' || version < name + 3 || strncmp(version - 2, ".v", 2) != 0) {
		return false;
	}
	const char *part = name;
	for (const char *at = name; at <= version - 2; at++) {
		if (*at == '.') {
			if (!is_name(part, (size_t)(at - part))) {
				return false;
			}
			part = at + 1;
		}
	}
	return strlen(name) < NAME_BYTES_MAX;
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
	char chunk[4096];
	while ((len = fread(chunk, 1, sizeof(chunk), file)) > 0 &&
	       text->len <= BUS_EVENT_BYTES_MAX) {
		bus_buf_append(text, chunk, len);
	}
	bool failed = ferror(file) != 0;
	int code = errno;
	fclose(file);
	return failed ? bus_error_set(err, BUS_E_FATAL, "config", code,
				      "%s: cannot be read: %s", path, strerror(code)) :
			BUS_OK;
}

static bus_status
add_file(busp_catalogue *catalogue, const char *directory, const char *family,
	 const char *file, bus_error *err)
{
	BUS_BUF_AUTO text = { 0 };
	bus_error why = BUS_ERROR_INIT;
	char path[PATH_BYTES_MAX], name[2 * NAME_BYTES_MAX + 2];
	snprintf(path, sizeof(path), "%s/%s/%s", directory, family, file);
	if (!is_fact_file(file)) {
		return bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "%s: is not called <fact>.v<N>.json", path);
	}
	bus_status status = read_file(path, &text, err);
	if (status != BUS_OK) {
		return status;
	}
	snprintf(name, sizeof(name), "%s/%s", family, file);
	bus_str kept = { keep(catalogue, bus_buf_view(&text)), text.len };
	status = catalogue_add(catalogue, name, kept, &why);
	return status == BUS_OK ? BUS_OK :
				  bus_error_set(err, BUS_E_FATAL, "config", 0, "%s/%s",
						directory, why.text);
}

static void
add_family(busp_catalogue *catalogue, const char *directory, const char *name)
{
	char topic[NAME_BYTES_MAX + sizeof(TOPIC_PREFIX)], help[PATH_BYTES_MAX];
	size_t count = 0;
	while (catalogue->families[count].name != NULL) {
		count++;
	}
	bus_family *families =
		must(reallocarray(catalogue->families, count + 2, sizeof(bus_family)));
	snprintf(topic, sizeof(topic), TOPIC_PREFIX "%s", name);
	snprintf(help, sizeof(help), "Events of the directory %s.", directory);
	families[count] = (bus_family){ keep(catalogue, bus_str_from(name)),
					keep(catalogue, bus_str_from(topic)),
					keep(catalogue, bus_str_from(help)) };
	families[count + 1] = (bus_family){ NULL, NULL, NULL };
	catalogue->families = families;
}

static int
is_json(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	return entry->d_name[0] != '.' && len > strlen(".json") &&
	       strcmp(entry->d_name + len - strlen(".json"), ".json") == 0;
}

static int
is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && strcmp(entry->d_name, SAGAS_FOLDER) != 0;
}

/* A folder with schemas is a family; one without is none of ours (documents, examples). */
static bus_status
add_folder(busp_catalogue *catalogue, const char *directory, const char *family,
	   bus_error *err)
{
	char path[PATH_BYTES_MAX];
	struct dirent **files;
	bus_status status = BUS_OK;
	snprintf(path, sizeof(path), "%s/%s", directory, family);
	int count = scandir(path, &files, is_json, alphasort);
	if (count < 0) {
		return errno == ENOTDIR ? BUS_OK :
					  bus_error_set(err, BUS_E_FATAL, "config", errno,
							"%s: cannot be read: %s", path,
							strerror(errno));
	}
	if (count > 0 && !is_name(family, strlen(family))) {
		status = bus_error_set(err, BUS_E_FATAL, "config", 0,
				       "%s: a family has lower-case letters, digits and "
				       "dashes, a letter first",
				       path);
	} else if (count > 0 &&
		   (named(catalogue->families, bus_str_from(family)) != NULL ||
		    named(common_families, bus_str_from(family)) != NULL)) {
		status = bus_error_set(err, BUS_E_FATAL, "config", 0,
				       "%s: the family %s is the platform's own", path,
				       family);
	} else if (count > 0) {
		add_family(catalogue, directory, family);
	}
	for (int i = 0; i < count; i++) {
		if (status == BUS_OK) {
			status = add_file(catalogue, directory, family, files[i]->d_name,
					  err);
		}
		free(files[i]);
	}
	free(files);
	return status;
}

static bus_status
add_directory(busp_catalogue *catalogue, const char *directory, bus_error *err)
{
	struct dirent **folders;
	bus_status status = BUS_OK;
	int count = scandir(directory, &folders, is_visible, alphasort);
	if (count < 0) {
		return bus_error_set(err, BUS_E_FATAL, "config", errno,
				     "schemas.directory %s: cannot be read: %s",
				     directory, strerror(errno));
	}
	for (int i = 0; i < count; i++) {
		if (status == BUS_OK) {
			status =
				add_folder(catalogue, directory, folders[i]->d_name, err);
		}
		free(folders[i]);
	}
	free(folders);
	return status;
}

/* ---- all together ---- */

static int
compare_family(const void *a, const void *b)
{
	return strcmp(((const bus_family *)a)->name, ((const bus_family *)b)->name);
}

/* Rows of types and documents belong together: both are put in order by one index. */
typedef struct pair {
	bus_event_type type;
	json_t *document;
} pair;

static int
compare_pair(const void *a, const void *b)
{
	return strcmp(((const pair *)a)->type.type, ((const pair *)b)->type.type);
}

static void
sort(busp_catalogue *catalogue)
{
	size_t families = 0;
	while (catalogue->families[families].name != NULL) {
		families++;
	}
	qsort(catalogue->families, families, sizeof(bus_family), compare_family);
	pair *pairs = must(calloc(catalogue->count + 1, sizeof(*pairs)));
	for (size_t i = 0; i < catalogue->count; i++) {
		pairs[i] = (pair){ catalogue->types[i], catalogue->documents[i] };
	}
	qsort(pairs, catalogue->count, sizeof(*pairs), compare_pair);
	for (size_t i = 0; i < catalogue->count; i++) {
		catalogue->types[i] = pairs[i].type;
		catalogue->documents[i] = pairs[i].document;
	}
	free(pairs);
}

static bus_status
link_families(busp_catalogue *catalogue, bus_error *err)
{
	for (size_t i = 0; i < catalogue->count; i++) {
		bus_event_type *row = &catalogue->types[i];
		const char *start = row->type + strlen(TYPE_PREFIX);
		bus_str name = { start, (size_t)(strchr(start, '.') - start) };
		row->family = named(catalogue->families, name);
		if (row->family == NULL) {
			row->family = named(common_families, name);
		}
		if (row->family == NULL) {
			return bus_error_set(err, BUS_E_FATAL, "schema", 0,
					     "%s: there is no family of that name",
					     row->type);
		}
	}
	return BUS_OK;
}

/* Made of the embedded files and, unless NULL, a directory. */
static bus_status
catalogue_make(const char *directory, busp_catalogue **ret_catalogue, bus_error *err)
{
	busp_catalogue *catalogue = catalogue_create();
	bus_status status = add_embedded(catalogue, err);
	if (status == BUS_OK && directory != NULL) {
		status = add_directory(catalogue, directory, err);
	}
	if (status == BUS_OK) {
		sort(catalogue);
		status = link_families(catalogue, err);
	}
	if (status != BUS_OK) {
		catalogue_destroy(catalogue);
		return status;
	}
	*ret_catalogue = catalogue;
	return BUS_OK;
}

static void
make_embedded(void)
{
	if (catalogue_make(NULL, &current, &trouble) != BUS_OK) {
		current = catalogue_create();
	}
}

const busp_catalogue *
busp_catalogue_get(void)
{
	pthread_once(&once, make_embedded);
	return current;
}

const char *
busp_catalogue_trouble(void)
{
	(void)busp_catalogue_get();
	return trouble.status != BUS_OK ? trouble.text : NULL;
}

void
busp_catalogue_hold(int by)
{
	atomic_fetch_add(&registries, by);
}

const bus_family *
bus_common_families(void)
{
	return common_families;
}

bus_status
bus_registry_add_directory(const char *directory, bus_error *err)
{
	busp_catalogue *catalogue;
	bus_registry *registry;
	bus_error why = BUS_ERROR_INIT;
	(void)busp_catalogue_get();
	assert(atomic_load(&registries) == 0);
	bus_status status = catalogue_make(directory, &catalogue, err);
	if (status != BUS_OK) {
		return status;
	}
	busp_catalogue *before = current;
	current = catalogue;
	status = bus_registry_create(&registry, &why);
	if (status != BUS_OK) {
		current = before;
		catalogue_destroy(catalogue);
		return bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "schemas.directory %s: %s", directory, why.text);
	}
	bus_registry_destroy(registry);
	catalogue_destroy(before);
	return BUS_OK;
}
