/*
 * registry.c - the platform's events: families, embedded schemas, validation of data
 *
 * The table of types is read from the embedded files once, by whoever asks first, and
 * kept for the life of the process: it is the same for all.
 */
#include "schemas/registry.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/embed.h"
#include "core/json.h"

extern const bus_embedded bus_schema_files[];

#define TYPES_MAX 256 /* a family has about five */
#define TYPE_PREFIX "io.busline."

static const bus_family families[] = {
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

static struct {
	pthread_once_t once;
	bus_event_type types[TYPES_MAX]; /* sorted by type */
	json_t *documents[TYPES_MAX];    /* of the same index; they hold the texts */
	size_t count;
	bus_error error; /* why it is not whole: a bug of ours, told by create */
} catalogue = { .once = PTHREAD_ONCE_INIT };

struct bus_registry {
	bus_schema_set *set;
	const bus_schema *schemas[TYPES_MAX]; /* by the index of the type */
};

const bus_family *
bus_families(void)
{
	return families;
}

const bus_family *
bus_common_families(void)
{
	return common_families;
}

const bus_family *
bus_family_of_topic(bus_str topic)
{
	for (const bus_family *family = families; family->name != NULL; family++) {
		if (bus_str_is(topic, family->topic)) {
			return family;
		}
	}
	return NULL;
}

static const bus_family *
named_of(const bus_family *family, bus_str name)
{
	for (; family->name != NULL; family++) {
		if (bus_str_is(name, family->name)) {
			return family;
		}
	}
	return NULL;
}

const bus_family *
bus_family_of_name(bus_str name)
{
	const bus_family *family = named_of(families, name);
	return family != NULL ? family : named_of(common_families, name);
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

static bus_status
catalogue_add(const bus_embedded *file, bus_error *err)
{
	json_t *document;
	const char *slash = strchr(file->name, '/');
	if (catalogue.count == TYPES_MAX || slash == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0,
				     "%s: no room for it, or in no family", file->name);
	}
	bus_status status =
		bus_json_parse((bus_str){ file->data, file->len }, &document, err);
	if (status != BUS_OK) {
		return status;
	}
	size_t index = catalogue.count;
	bus_str type = bus_json_str(document, "x-busline-type");
	catalogue.documents[index] = document;
	bus_event_type *row = &catalogue.types[index];
	row->family =
		bus_family_of_name((bus_str){ file->name, (size_t)(slash - file->name) });
	row->type = type.data;
	row->schema_uri = bus_json_str(document, "$id").data;
	row->schema_text = file->data;
	row->title = bus_json_str(document, "title").data;
	if (type.data == NULL || !type_fits_file(type, file->name) ||
	    row->family == NULL || row->schema_uri == NULL || row->title == NULL) {
		return bus_error_set(
			err, BUS_E_FATAL, "schema", 0,
			"%s: its family, $id, title or x-busline-type is wrong",
			file->name);
	}
	/* The files come sorted by name; families and facts have no character that would
	 * sort otherwise in a type. Finding one relies on it. */
	if (index > 0 && strcmp(row[-1].type, row->type) >= 0) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0,
				     "%s: its type is out of order", file->name);
	}
	catalogue.count++;
	return BUS_OK;
}

static void
catalogue_load(void)
{
	for (const bus_embedded *file = bus_schema_files; file->name != NULL; file++) {
		if (catalogue_add(file, &catalogue.error) != BUS_OK) {
			break;
		}
	}
}

const bus_event_type *
bus_registry_types(size_t *ret_count)
{
	pthread_once(&catalogue.once, catalogue_load);
	*ret_count = catalogue.count;
	return catalogue.types;
}

static bus_status
registry_compile(bus_registry *registry, bus_error *err)
{
	bus_status status = BUS_OK;
	for (size_t i = 0; i < catalogue.count && status == BUS_OK; i++) {
		status = bus_schema_set_add(registry->set,
					    bus_str_from(catalogue.types[i].schema_uri),
					    catalogue.documents[i], err);
	}
	for (size_t i = 0; i < catalogue.count && status == BUS_OK; i++) {
		status = bus_schema_compile(registry->set,
					    bus_str_from(catalogue.types[i].schema_uri),
					    &registry->schemas[i], err);
	}
	return status;
}

bus_status
bus_registry_create(bus_registry **ret_registry, bus_error *err)
{
	size_t count;
	(void)bus_registry_types(&count);
	if (catalogue.error.status != BUS_OK) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0, "%s",
				     catalogue.error.text);
	}
	bus_registry *registry = calloc(1, sizeof(*registry));
	if (registry != NULL) {
		registry->set = bus_schema_set_create(BUS_SCHEMA_FORMAT);
	}
	if (registry == NULL || registry->set == NULL) {
		free(registry);
		return bus_error_set(err, BUS_E_FATAL, "schema", 0,
				     "no memory for the schemas");
	}
	bus_status status = registry_compile(registry, err);
	if (status != BUS_OK) {
		bus_registry_destroy(registry);
		return status;
	}
	*ret_registry = registry;
	return BUS_OK;
}

void
bus_registry_destroy(bus_registry *registry)
{
	if (registry != NULL) {
		bus_schema_set_destroy(registry->set);
		free(registry);
	}
}

static int
compare_type(const void *key, const void *row)
{
	const bus_str *type = key;
	const char *other = ((const bus_event_type *)row)->type;
	int order = strncmp(type->data, other, type->len);
	return order != 0 ? order : -(int)(other[type->len] != '\0');
}

const bus_event_type *
bus_registry_find(const bus_registry *registry, bus_str type)
{
	(void)registry; /* whoever has one has the catalogue */
	if (bus_str_empty(type) || memchr(type.data, '\0', type.len) != NULL) {
		return NULL;
	}
	return bsearch(&type, catalogue.types, catalogue.count,
		       sizeof(catalogue.types[0]), compare_type);
}

bus_status
bus_registry_validate(const bus_registry *registry, bus_str topic, bus_event *event,
		      bus_schema_report *report, bus_cause *ret_cause, bus_error *err)
{
	json_t *data;
	const bus_event_type *type = bus_registry_find(registry, event->type);
	if (report != NULL) {
		report->count = 0;
	}
	if (type == NULL ||
	    (type->family->topic != NULL && !bus_str_is(topic, type->family->topic))) {
		*ret_cause = BUS_CAUSE_UNKNOWN_TYPE;
		return bus_error_set(err, BUS_E_REJECT, "schema", 0,
				     "type %.*s is not one of topic %.*s",
				     BUS_STR_ARG(event->type), BUS_STR_ARG(topic));
	}
	bus_status status = bus_event_data(event, &data, err);
	if (status != BUS_OK) {
		*ret_cause = BUS_CAUSE_INVALID_DATA;
		return status;
	}
	if (data == NULL) {
		*ret_cause = BUS_CAUSE_INVALID_DATA;
		return bus_error_set(err, BUS_E_REJECT, "schema", 0, "%s has no data",
				     type->type);
	}
	status = bus_schema_validate(registry->schemas[type - catalogue.types], data,
				     report, err);
	if (status == BUS_E_REJECT) {
		*ret_cause = BUS_CAUSE_SCHEMA_INVALID;
	}
	return status;
}
