/*
 * config.c - the values of the table, and where each came from
 *
 * A value is taken only from an origin that is at least as strong as the one that set it
 * last, so flags may be read before the file they name.
 */
#include "core/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "core/config_private.h"
#include "core/memory.h"

typedef struct busp_value {
	char *text;
	char *where;
	bus_config_origin origin;
	int64_t integer;
	bool boolean;
} busp_value;

struct bus_config {
	busp_value values[BUS_CONF_COUNT];
};

static const bus_config_option busp_options[BUS_CONF_COUNT] = {
#define X(symbol, name, type, fallback, flags, help)                                     \
	{ name, type, fallback, flags, help },
	BUS_CONFIG_LIST(X)
#undef X
};

const bus_config_option *
bus_config_option_of(bus_config_key key)
{
	return &busp_options[key];
}

/* "worker.batch-events" with one character for '.' and '-': its flag, its variable. */
static void
busp_config_name(bus_config_key key, const char *prefix, char separator, char *ret_name)
{
	snprintf(ret_name, BUSP_CONFIG_NAME_MAX, "%s%s", prefix, busp_options[key].name);
	for (char *c = ret_name + strlen(prefix); *c != '\0'; c++) {
		*c = *c == '.' || *c == '-' ? separator : *c;
	}
}

void
busp_config_flag_name(bus_config_key key, char ret_name[BUSP_CONFIG_NAME_MAX])
{
	busp_config_name(key, "", '-', ret_name);
}

void
busp_config_env_name(bus_config_key key, char ret_name[BUSP_CONFIG_NAME_MAX])
{
	busp_config_name(key, "BUSLINE_", '_', ret_name);
	for (char *c = ret_name; *c != '\0'; c++) {
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
	}
}

bus_config_key
bus_config_find(bus_str name)
{
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		char flag[BUSP_CONFIG_NAME_MAX];
		busp_config_flag_name((bus_config_key)key, flag);
		if (bus_str_is(name, busp_options[key].name) || bus_str_is(name, flag)) {
			return (bus_config_key)key;
		}
	}
	return BUS_CONF_COUNT;
}

static char *
busp_copy(bus_str text)
{
	char *copy = malloc(text.len + 1);
	if (copy == NULL) {
		busp_memory_short("the configuration", text.len);
	}
	if (text.len > 0) {
		memcpy(copy, text.data, text.len);
	}
	copy[text.len] = '\0';
	return copy;
}

static void
busp_forget(char *text)
{
	if (text != NULL) {
		explicit_bzero(text, strlen(text));
	}
	free(text);
}

/* Least value that makes sense: nothing can be done in zero events or milliseconds. */
static int64_t
busp_least(bus_config_key key)
{
	return key == BUS_CONF_TOPIC_RETENTION_MS    ? -1 :
	       key == BUS_CONF_TOPIC_RETENTION_BYTES ? 0 :
						       1;
}

static bus_status
busp_refuse_type(bus_config_key key, const char *text, const char *where,
		 const char *wanted, bus_error *err)
{
	const bus_config_option *option = &busp_options[key];
	bool secret = (option->flags & BUS_CONFIG_SECRET) != 0;
	return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG,
			     "%s: \"%s\" of %s is not %s", option->name,
			     secret ? "(secret)" : text, where, wanted);
}

static bus_status
busp_value_read(bus_config_key key, busp_value *value, bus_error *err)
{
	switch (busp_options[key].type) {
	case BUS_CONFIG_TEXT:
		return BUS_OK;
	case BUS_CONFIG_BOOL:
		value->boolean = strcmp(value->text, "true") == 0;
		if (!value->boolean && strcmp(value->text, "false") != 0) {
			return busp_refuse_type(key, value->text, value->where,
						"true or false", err);
		}
		return BUS_OK;
	case BUS_CONFIG_INT:
		break;
	}
	char *end;
	errno = 0;
	value->integer = strtoll(value->text, &end, 10);
	bool digits =
		value->text[0] == '-' || (value->text[0] >= '0' && value->text[0] <= '9');
	if (!digits || *end != '\0' || end == value->text || errno != 0) {
		return busp_refuse_type(key, value->text, value->where, "an integer", err);
	}
	if (value->integer < busp_least(key)) {
		char wanted[48];
		snprintf(wanted, sizeof(wanted), "an integer of at least %lld",
			 (long long)busp_least(key));
		return busp_refuse_type(key, value->text, value->where, wanted, err);
	}
	return BUS_OK;
}

static void
busp_value_fini(busp_value *value)
{
	busp_forget(value->text);
	free(value->where);
}

bus_status
bus_config_set(bus_config *config, bus_config_key key, bus_str text,
	       bus_config_origin origin, const char *where, bus_error *err)
{
	if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL) {
		return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG,
				     "%s: the value of %s holds a NUL byte",
				     busp_options[key].name, where);
	}
	busp_value value = { .text = busp_copy(text), .origin = origin };
	value.where = busp_copy(bus_str_from(where));
	bus_status status = busp_value_read(key, &value, err);
	busp_value *kept = &config->values[key];
	if (status != BUS_OK || origin < kept->origin) {
		busp_value_fini(&value);
		return status;
	}
	busp_value_fini(kept);
	*kept = value;
	return BUS_OK;
}

bus_config *
bus_config_create(void)
{
	bus_config *config = calloc(1, sizeof(*config));
	if (config == NULL) {
		busp_memory_short("the configuration", sizeof(*config));
	}
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		bus_error err = BUS_ERROR_INIT;
		if (bus_config_set(config, (bus_config_key)key,
				   bus_str_from(busp_options[key].fallback),
				   BUS_ORIGIN_DEFAULT, "", &err) != BUS_OK) {
			fprintf(stderr, "busline: default of %s\n", err.text);
			abort();
		}
	}
	return config;
}

void
bus_config_destroy(bus_config *config)
{
	if (config == NULL) {
		return;
	}
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		busp_value_fini(&config->values[key]);
	}
	free(config);
}

const char *
bus_config_text(const bus_config *config, bus_config_key key)
{
	return config->values[key].text;
}

int64_t
bus_config_int(const bus_config *config, bus_config_key key)
{
	return config->values[key].integer;
}

bool
bus_config_bool(const bus_config *config, bus_config_key key)
{
	return config->values[key].boolean;
}

bus_config_origin
bus_config_origin_of(const bus_config *config, bus_config_key key, const char **ret_where)
{
	if (ret_where != NULL) {
		*ret_where = config->values[key].where;
	}
	return config->values[key].origin;
}
