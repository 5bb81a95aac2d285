/*
 * config_load.c - values from the file and from the environment
 *
 * A name that nobody knows is refused: a misspelt limit that is silently the default is
 * found out at 3 a.m.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/config_private.h"
#include "core/json.h"

/* A secret, a certificate chain, a configuration file; more is a wrong path. */
#define BUSP_CONFIG_FILE_BYTES_MAX (64u * 1024u)
/* Further from every name than this, a word is no misspelling of one. */
#define BUSP_CONFIG_EDITS_MAX 8u

static void
busp_file_close(FILE **file)
{
	if (*file != NULL) {
		fclose(*file);
	}
}

/* Wiped before it is freed: it may have held a secret. */
static void
busp_secret_fini(bus_buf *buf)
{
	if (buf->data != NULL) {
		explicit_bzero(buf->data, buf->cap);
	}
	bus_buf_fini(buf);
}

/* What: "configuration file" or the variable that names it. */
static bus_status
busp_file_read(const char *path, const char *what, bus_buf *ret_text, bus_error *err)
{
	__attribute__((cleanup(busp_file_close))) FILE *file = fopen(path, "re");
	if (file == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "config", errno,
				     "%s: cannot open %s: %s", what, path,
				     strerror(errno));
	}
	/* no stdio buffer: it would keep a copy of a secret */
	setvbuf(file, NULL, _IONBF, 0);
	char *to = bus_buf_reserve(ret_text, BUSP_CONFIG_FILE_BYTES_MAX + 1);
	errno = 0;
	size_t len = fread(to, 1, BUSP_CONFIG_FILE_BYTES_MAX + 1, file);
	if (ferror(file)) {
		return bus_error_set(err, BUS_E_FATAL, "config", errno,
				     "%s: cannot read %s: %s", what, path,
				     strerror(errno));
	}
	if (len > BUSP_CONFIG_FILE_BYTES_MAX) {
		return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG,
				     "%s: %s is larger than %u bytes", what, path,
				     BUSP_CONFIG_FILE_BYTES_MAX);
	}
	to[len] = '\0';
	ret_text->len = len;
	return BUS_OK;
}

/* Levenshtein's distance, one row at a time. */
static unsigned
busp_edits(const char *a, const char *b)
{
	unsigned row[2 * BUSP_CONFIG_NAME_MAX];
	size_t len = strlen(b);
	for (size_t j = 0; j <= len; j++) {
		row[j] = (unsigned)j;
	}
	for (size_t i = 0; a[i] != '\0'; i++) {
		unsigned corner = row[0];
		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < len; j++) {
			unsigned change = corner + (a[i] != b[j]);
			unsigned least =
				row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
			corner = row[j + 1];
			row[j + 1] = change < least ? change : least;
		}
	}
	return row[len];
}

static bus_status
busp_refuse_name(const char *name, const char *where, bool env, bus_error *err)
{
	char nearest[BUSP_CONFIG_NAME_MAX] = "";
	unsigned least = BUSP_CONFIG_EDITS_MAX + 1;
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		char known[BUSP_CONFIG_NAME_MAX];
		if (env) {
			busp_config_env_name((bus_config_key)key, known);
		} else {
			snprintf(known, sizeof(known), "%s",
				 bus_config_option_of((bus_config_key)key)->name);
		}
		unsigned edits = busp_edits(name, known);
		if (edits < least) {
			least = edits;
			memcpy(nearest, known, sizeof(nearest));
		}
	}
	if (nearest[0] == '\0') {
		return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG,
				     "%s: there is no option %.80s", where, name);
	}
	return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG,
			     "%s: there is no option %.80s; did you mean %s?", where,
			     name, nearest);
}

/* A member of the file as the text a flag would have. */
static bus_status
busp_member_set(bus_config *config, bus_config_key key, const json_t *value,
		const char *path, bus_error *err)
{
	static const char *const wanted[] = {
		[BUS_CONFIG_TEXT] = "a string",
		[BUS_CONFIG_INT] = "an integer",
		[BUS_CONFIG_BOOL] = "true or false",
	};
	const bus_config_option *option = bus_config_option_of(key);
	char number[24];
	if (option->type == BUS_CONFIG_TEXT && json_is_string(value)) {
		bus_str text = { json_string_value(value), json_string_length(value) };
		return bus_config_set(config, key, text, BUS_ORIGIN_FILE, path, err);
	}
	if (option->type == BUS_CONFIG_INT && json_is_integer(value)) {
		snprintf(number, sizeof(number), "%lld",
			 (long long)json_integer_value(value));
		return bus_config_set(config, key, bus_str_from(number), BUS_ORIGIN_FILE,
				      path, err);
	}
	if (option->type == BUS_CONFIG_BOOL && json_is_boolean(value)) {
		bus_str text = json_is_true(value) ? BUS_STR("true") : BUS_STR("false");
		return bus_config_set(config, key, text, BUS_ORIGIN_FILE, path, err);
	}
	return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG, "%s: %s is not %s",
			     path, option->name, wanted[option->type]);
}

static bus_status
busp_section_load(bus_config *config, const char *section, json_t *members,
		  const char *path, bus_error *err)
{
	if (!json_is_object(members)) {
		return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG,
				     "%s: \"%.80s\" is not an object of options", path,
				     section);
	}
	const char *member;
	json_t *value;
	json_object_foreach(members, member, value)
	{
		char name[BUSP_CONFIG_NAME_MAX];
		snprintf(name, sizeof(name), "%s.%s", section, member);
		bus_config_key key = BUS_CONF_COUNT;
		for (int k = 0; k < BUS_CONF_COUNT; k++) {
			if (strcmp(name, bus_config_option_of((bus_config_key)k)->name) ==
			    0) {
				key = (bus_config_key)k;
			}
		}
		bus_status status =
			key == BUS_CONF_COUNT ?
				busp_refuse_name(name, path, false, err) :
				busp_member_set(config, key, value, path, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return BUS_OK;
}

static bus_status
busp_file_load(bus_config *config, const char *path, bus_error *err)
{
	__attribute__((cleanup(busp_secret_fini))) bus_buf text = { 0 };
	bus_status status = busp_file_read(path, "configuration file", &text, err);
	if (status != BUS_OK) {
		return status;
	}
	BUS_JSON_AUTO *root = NULL;
	bus_error why = BUS_ERROR_INIT;
	if (bus_json_parse(bus_buf_view(&text), &root, &why) != BUS_OK) {
		return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG, "%s: %s",
				     path, why.text);
	}
	if (!json_is_object(root)) {
		return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG,
				     "%s: not an object of sections", path);
	}
	const char *section;
	json_t *members;
	json_object_foreach(root, section, members)
	{
		status = busp_section_load(config, section, members, path, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return BUS_OK;
}

/* NAME_FILE: the value is what the file holds, without the newline an editor leaves. */
static bus_status
busp_env_file_load(bus_config *config, bus_config_key key, const char *variable,
		   const char *path, bus_error *err)
{
	char plain[BUSP_CONFIG_NAME_MAX];
	busp_config_env_name(key, plain);
	if (getenv(plain) != NULL) {
		return bus_error_set(err, BUS_E_FATAL, "config", EX_CONFIG,
				     "%s and %s are both set", plain, variable);
	}
	__attribute__((cleanup(busp_secret_fini))) bus_buf text = { 0 };
	bus_status status = busp_file_read(path, variable, &text, err);
	if (status != BUS_OK) {
		return status;
	}
	bus_str value = bus_buf_view(&text);
	if (value.len > 0 && value.data[value.len - 1] == '\n') {
		value.len--;
	}
	if (value.len > 0 && value.data[value.len - 1] == '\r') {
		value.len--;
	}
	return bus_config_set(config, key, value, BUS_ORIGIN_ENVIRONMENT, variable, err);
}

/* Variables of ours that are no options. */
static bool
busp_env_allowed(const char *variable)
{
	static const char *const names[] = { "BUSLINE_CONFIG", "BUSLINE_CRASH_POINT",
					     "BUSLINE_WERROR" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(variable, names[i]) == 0) {
			return true;
		}
	}
	return strncmp(variable, "BUSLINE_TEST_", strlen("BUSLINE_TEST_")) == 0;
}

static bus_status
busp_env_set(bus_config *config, const char *variable, const char *value, bus_error *err)
{
	for (int k = 0; k < BUS_CONF_COUNT; k++) {
		bus_config_key key = (bus_config_key)k;
		char name[BUSP_CONFIG_NAME_MAX];
		busp_config_env_name(key, name);
		size_t len = strlen(name);
		if (strcmp(variable, name) == 0) {
			return bus_config_set(config, key, bus_str_from(value),
					      BUS_ORIGIN_ENVIRONMENT, variable, err);
		}
		if (strncmp(variable, name, len) == 0 &&
		    strcmp(variable + len, "_FILE") == 0) {
			return busp_env_file_load(config, key, variable, value, err);
		}
	}
	return busp_env_allowed(variable) ?
		       BUS_OK :
		       busp_refuse_name(variable, "environment", true, err);
}

bus_status
bus_config_load(bus_config *config, const char *path, bus_error *err)
{
	if (path == NULL) {
		path = getenv("BUSLINE_CONFIG");
	}
	if (path != NULL && *path != '\0') {
		bus_status status = busp_file_load(config, path, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
		const char *equals = strchr(*entry, '=');
		if (equals == NULL ||
		    strncmp(*entry, "BUSLINE_", strlen("BUSLINE_")) != 0) {
			continue;
		}
		char variable[2 * BUSP_CONFIG_NAME_MAX];
		snprintf(variable, sizeof(variable), "%.*s", (int)(equals - *entry),
			 *entry);
		bus_status status = busp_env_set(config, variable, equals + 1, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return BUS_OK;
}
