/*
 * registry.c - the platform's events: their compiled schemas, validation of data
 */
#include "schemas/registry.h"

#include <stdlib.h>

#include "schemas/catalogue.h"

struct bus_registry {
	bus_schema_set *set;
	const bus_schema **schemas; /* by the index of the type */
};

const bus_family *
bus_families(void)
{
	return busp_catalogue_get()->families;
}

const bus_family *
bus_family_of_topic(bus_str topic)
{
	for (const bus_family *family = bus_families(); family->name != NULL; family++) {
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
	const bus_family *family = named_of(bus_families(), name);
	return family != NULL ? family : named_of(bus_common_families(), name);
}

const bus_event_type *
bus_registry_types(size_t *ret_count)
{
	const busp_catalogue *catalogue = busp_catalogue_get();
	*ret_count = catalogue->count;
	return catalogue->types;
}

static bus_status
registry_compile(bus_registry *registry, bus_error *err)
{
	const busp_catalogue *catalogue = busp_catalogue_get();
	bus_status status = BUS_OK;
	for (size_t i = 0; i < catalogue->count && status == BUS_OK; i++) {
		status = bus_schema_set_add(registry->set,
					    bus_str_from(catalogue->types[i].schema_uri),
					    catalogue->documents[i], err);
	}
	for (size_t i = 0; i < catalogue->count && status == BUS_OK; i++) {
		status = bus_schema_compile(registry->set,
					    bus_str_from(catalogue->types[i].schema_uri),
					    &registry->schemas[i], err);
	}
	return status;
}

bus_status
bus_registry_create(bus_registry **ret_registry, bus_error *err)
{
	const busp_catalogue *catalogue = busp_catalogue_get();
	const char *trouble = busp_catalogue_trouble();
	if (trouble != NULL) {
		return bus_error_set(err, BUS_E_FATAL, "schema", 0, "%s", trouble);
	}
	bus_registry *registry = calloc(1, sizeof(*registry));
	if (registry != NULL) {
		registry->set = bus_schema_set_create(BUS_SCHEMA_FORMAT);
		registry->schemas =
			calloc(catalogue->count + 1, sizeof(*registry->schemas));
		busp_catalogue_hold(1);
	}
	if (registry == NULL || registry->set == NULL || registry->schemas == NULL) {
		bus_registry_destroy(registry);
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
		free(registry->schemas);
		free(registry);
		busp_catalogue_hold(-1);
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
	const busp_catalogue *catalogue = busp_catalogue_get();
	(void)registry; /* whoever has one has the catalogue */
	if (bus_str_empty(type) || memchr(type.data, '\0', type.len) != NULL) {
		return NULL;
	}
	return bsearch(&type, catalogue->types, catalogue->count,
		       sizeof(catalogue->types[0]), compare_type);
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
	status =
		bus_schema_validate(registry->schemas[type - busp_catalogue_get()->types],
				    data, report, err);
	if (status == BUS_E_REJECT) {
		*ret_cause = BUS_CAUSE_SCHEMA_INVALID;
	}
	return status;
}
