/*
 * filter.c - which events are meant
 *
 * Source: CloudEvents Subscriptions API, filter dialects exact, prefix, suffix.
 */
#include <string.h>

#include "apps/cli/filter.h"
#include "apps/cli/publisher.h"

static void
busp_add(bus_cli_filter *filter, bus_cli_dialect dialect, const char *attribute,
	 bus_str value)
{
	filter->conditions[filter->count++] =
		(bus_cli_condition){ dialect, bus_str_from(attribute), value };
}

bool
bus_cli_filter_parse(bus_cli_filter *filter, const char *text)
{
	static const struct {
		const char *word;
		bus_cli_dialect dialect;
	} dialects[] = { { "exact ", BUS_CLI_EXACT },
			 { "prefix ", BUS_CLI_PREFIX },
			 { "suffix ", BUS_CLI_SUFFIX } };
	bus_cli_condition condition = { .dialect = BUS_CLI_EXACT };
	for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
		size_t len = strlen(dialects[i].word);
		if (strncmp(text, dialects[i].word, len) == 0) {
			condition.dialect = dialects[i].dialect;
			text += len;
			break;
		}
	}
	const char *equals = strchr(text, '=');
	if (equals == NULL || equals == text ||
	    strcspn(text, " ") < (size_t)(equals - text) ||
	    filter->count == BUS_CLI_FILTERS_MAX) {
		return false;
	}
	condition.attribute = (bus_str){ text, (size_t)(equals - text) };
	condition.value = bus_str_from(equals + 1);
	filter->conditions[filter->count++] = condition;
	return true;
}

bus_exit
bus_cli_filter_init(bus_cli_filter *filter, const bus_cli *cli)
{
	const char *text;
	*filter = (bus_cli_filter){ 0 };
	for (size_t i = 0; (text = bus_cli_nth(cli, "filter", i)) != NULL; i++) {
		if (filter->count + 3 > BUS_CLI_FILTERS_MAX) {
			return bus_cli_fail(BUS_EXIT_USAGE, "--filter", NULL,
					    "more than %d filters",
					    BUS_CLI_FILTERS_MAX - 3);
		}
		if (!bus_cli_filter_parse(filter, text)) {
			return bus_cli_fail(
				BUS_EXIT_USAGE, "--filter",
				"write ATTRIBUTE=VALUE, or prefix or suffix before it",
				"'%s' is no filter", text);
		}
	}
	if ((text = bus_cli_text(cli, "tenant")) != NULL) {
		busp_add(filter, BUS_CLI_EXACT, "tenant", bus_str_from(text));
	}
	if ((text = bus_cli_text(cli, "app")) != NULL) {
		busp_add(filter, BUS_CLI_EXACT, "subject", bus_str_from(text));
	}
	if ((text = bus_cli_text(cli, "type")) != NULL) {
		size_t len = strlen(text);
		bool prefix = len > 0 && text[len - 1] == '*';
		busp_add(filter, prefix ? BUS_CLI_PREFIX : BUS_CLI_EXACT, "type",
			 prefix ? (bus_str){ text, len - 1 } :
				  bus_cli_type_of(text, cli->arena));
	}
	return BUS_EXIT_OK;
}

static bus_str
busp_attribute(const bus_event *event, bus_str name)
{
	const struct {
		const char *name;
		bus_str value;
	} known[] = {
		{ "id", event->id },
		{ "source", event->source },
		{ "type", event->type },
		{ "subject", event->subject },
		{ "time", event->time },
		{ "tenant", event->tenant },
		{ "actor", event->actor },
		{ "correlationid", event->correlationid },
		{ "causationid", event->causationid },
		{ "partitionkey", event->partitionkey },
		{ "sequence", event->sequence },
		{ "traceparent", event->traceparent },
		{ "sagaid", event->sagaid },
		{ "sagastep", event->sagastep },
		{ "datacontenttype", event->datacontenttype },
		{ "dataschema", event->dataschema },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (bus_str_is(name, known[i].name)) {
			return known[i].value;
		}
	}
	for (size_t i = 0; i < event->extension_count; i++) {
		if (bus_str_eq(event->extensions[i].name, name)) {
			return event->extensions[i].value;
		}
	}
	return BUS_STR_NULL;
}

static bool
busp_holds(const bus_cli_condition *condition, bus_str value)
{
	bus_str wanted = condition->value;
	if (value.data == NULL || value.len < wanted.len) {
		return false;
	}
	size_t at = condition->dialect == BUS_CLI_SUFFIX ? value.len - wanted.len : 0;
	bool whole = condition->dialect != BUS_CLI_EXACT || value.len == wanted.len;
	return whole && memcmp(value.data + at, wanted.data, wanted.len) == 0;
}

bool
bus_cli_filter_match(const bus_cli_filter *filter, const bus_event *event)
{
	for (size_t i = 0; i < filter->count; i++) {
		const bus_cli_condition *condition = &filter->conditions[i];
		if (!busp_holds(condition, busp_attribute(event, condition->attribute))) {
			return false;
		}
	}
	return true;
}
