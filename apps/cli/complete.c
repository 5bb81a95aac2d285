/*
 * complete.c - completion scripts for bash, zsh and fish, from the table
 *
 * Names that only the database or the binary knows (applications, tenants, event types)
 * are asked for at the time: `busline __complete KIND` prints one per line.
 */
#include <stdio.h>
#include <string.h>

#include "apps/cli/cli.h"

/* "a|b" as "a b". */
static void
busp_words(bus_buf *out, const char *values)
{
	for (; *values != '\0'; values++) {
		bus_buf_byte(out, *values == '|' ? ' ' : (uint8_t)*values);
	}
}

static void
busp_flag(bus_buf *out, const char *setting)
{
	for (; *setting != '\0'; setting++) {
		bus_buf_byte(out, *setting == '.' ? '-' : (uint8_t)*setting);
	}
}

static void
busp_option_names(bus_buf *out, const bus_cli_option *rows)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		bus_buf_printf(out, " --%s", rows->name);
	}
}

/* ---- bash ---- */

static void
busp_bash_values(bus_buf *out, const char *values)
{
	if (values == NULL) {
		bus_buf_cstr(out, "COMPREPLY=()");
	} else if (strcmp(values, "@files") == 0) {
		bus_buf_cstr(out, "COMPREPLY=($(compgen -f -- \"$cur\"))");
	} else if (values[0] == '@') {
		bus_buf_printf(out,
			       "COMPREPLY=($(compgen -W \"$(busline __complete %s "
			       "2>/dev/null)\" -- \"$cur\"))",
			       values + 1);
	} else {
		bus_buf_cstr(out, "COMPREPLY=($(compgen -W \"");
		busp_words(out, values);
		bus_buf_cstr(out, "\" -- \"$cur\"))");
	}
}

static void
busp_bash_options(bus_buf *out, const char *command, const bus_cli_option *rows)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		if (rows->kind == BUS_CLI_FLAG) {
			continue;
		}
		bus_buf_printf(out, "\t\"%s:--%s\"", command, rows->name);
		if (rows->letter != 0) {
			bus_buf_printf(out, " | \"%s:-%c\"", command, rows->letter);
		}
		bus_buf_cstr(out, ") ");
		busp_bash_values(out, rows->values);
		bus_buf_cstr(out, "; return ;;\n");
	}
}

static void
busp_bash_commands(bus_buf *out)
{
	const bus_cli_command *const *rows = bus_cli_commands();
	bus_buf_cstr(out, "\tcase \"$command\" in\n\t\"\") words=\"help");
	for (size_t i = 0; rows[i] != NULL; i++) {
		if (rows[i]->group != NULL && strchr(rows[i]->name, ' ') == NULL) {
			bus_buf_printf(out, " %s", rows[i]->name);
		}
	}
	bus_buf_cstr(out, "\" ;;\n");
	for (size_t i = 0; rows[i] != NULL; i++) {
		if (rows[i]->group == NULL) {
			continue;
		}
		bus_buf_printf(out, "\t\"%s\") words=\"", rows[i]->name);
		for (size_t j = 0; rows[j] != NULL; j++) {
			if (rows[j]->group != NULL && bus_cli_is_below(rows[i], rows[j])) {
				bus_buf_printf(out, "%s ",
					       rows[j]->name + strlen(rows[i]->name) + 1);
			}
		}
		bus_buf_cstr(out, "\"; options=\"");
		busp_option_names(out, rows[i]->options);
		bus_buf_cstr(out, "\"");
		const bus_cli_argument *first = rows[i]->arguments;
		if (first != NULL && first->values != NULL && rows[i]->run != NULL) {
			bus_buf_cstr(out, "\n\t\t[[ \"$cur\" != -* ]] && { ");
			busp_bash_values(out, first->values);
			bus_buf_cstr(out, "; return; }");
		}
		bus_buf_cstr(out, " ;;\n");
	}
	bus_buf_cstr(out, "\tesac\n");
}

static void
busp_bash(bus_buf *out)
{
	bus_buf_cstr(
		out,
		"# bash completion of busline: `busline completion bash`\n"
		"_busline()\n{\n"
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
		"\tlocal command=\"\" words=\"\" options=\"\" known word i\n"
		"\tif [[ \"$cur\" == = ]]; then cur=\"\"; fi\n"
		"\tif [[ \"$prev\" == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
		"\tknown=\"|");
	for (const bus_cli_command *const *row = bus_cli_commands(); *row != NULL; row++) {
		bus_buf_printf(out, "%s|", (*row)->name);
	}
	bus_buf_cstr(out, "\"\n\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
			  "\t\tword=\"${command:+$command }${COMP_WORDS[i]}\"\n"
			  "\t\t[[ \"$known\" == *\"|$word|\"* ]] && command=\"$word\"\n"
			  "\tdone\n\tcase \"$command:$prev\" in\n");
	for (const bus_cli_command *const *row = bus_cli_commands(); *row != NULL; row++) {
		busp_bash_options(out, (*row)->name, (*row)->options);
	}
	bus_buf_cstr(out, "\tesac\n\tcase \":$prev\" in\n");
	busp_bash_options(out, "", bus_cli_globals());
	bus_buf_cstr(out, "\tesac\n");
	busp_bash_commands(out);
	bus_buf_cstr(out, "\tif [[ \"$cur\" == -* ]]; then\n\t\twords=\"$options");
	busp_option_names(out, bus_cli_globals());
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		bus_buf_cstr(out, " --");
		busp_flag(out, bus_config_option_of((bus_config_key)key)->name);
	}
	bus_buf_cstr(out,
		     "\"\n\tfi\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
		     "complete -F _busline busline\n");
}

/* ---- zsh: bash's function by zsh's own bridge ---- */

static void
busp_zsh(bus_buf *out)
{
	bus_buf_cstr(
		out,
		"#compdef busline\n# zsh completion of busline: `busline completion zsh`\n"
		"autoload -U +X bashcompinit && bashcompinit\n");
	busp_bash(out);
}

/* ---- fish ---- */

static void
busp_fish_quoted(bus_buf *out, const char *text)
{
	bus_buf_byte(out, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\') {
			bus_buf_byte(out, '\\');
		}
		bus_buf_byte(out, (uint8_t)*text);
	}
	bus_buf_byte(out, '\'');
}

static void
busp_fish_values(bus_buf *out, const char *values)
{
	if (values == NULL || strcmp(values, "@files") == 0) {
		return;
	}
	bus_buf_cstr(out, " -a '");
	if (values[0] == '@') {
		bus_buf_printf(out, "(busline __complete %s 2>/dev/null)", values + 1);
	} else {
		busp_words(out, values);
	}
	bus_buf_cstr(out, "'");
}

static void
busp_fish_options(bus_buf *out, const char *command, const bus_cli_option *rows)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		bus_buf_cstr(out, "complete -c busline");
		if (command != NULL) {
			bus_buf_printf(out, " -n '__busline_at \"%s\"'", command);
		}
		bus_buf_printf(out, " -l %s", rows->name);
		if (rows->letter != 0) {
			bus_buf_printf(out, " -s %c", rows->letter);
		}
		if (rows->kind != BUS_CLI_FLAG) {
			bool files = rows->values != NULL &&
				     strcmp(rows->values, "@files") == 0;
			bus_buf_cstr(out, files ? " -r -F" : " -x");
			busp_fish_values(out, rows->values);
		}
		bus_buf_cstr(out, " -d ");
		busp_fish_quoted(out, rows->help);
		bus_buf_byte(out, '\n');
	}
}

static void
busp_fish_command(bus_buf *out, const bus_cli_command *command)
{
	const char *last = strrchr(command->name, ' ');
	bus_buf_cstr(out, "complete -c busline -n '__busline_at \"");
	bus_buf_append(out, command->name,
		       last == NULL ? 0 : (size_t)(last - command->name));
	bus_buf_printf(out, "\"' -a %s -d ", last == NULL ? command->name : last + 1);
	busp_fish_quoted(out, command->summary);
	bus_buf_byte(out, '\n');
	const bus_cli_argument *first = command->arguments;
	if (first != NULL && first->values != NULL) {
		bus_buf_printf(out, "complete -c busline -n '__busline_at \"%s\"'",
			       command->name);
		busp_fish_values(out, first->values);
		bus_buf_byte(out, '\n');
	}
	busp_fish_options(out, command->name, command->options);
}

static void
busp_fish(bus_buf *out)
{
	bus_buf_cstr(out, "# fish completion of busline: `busline completion fish`\n"
			  "function __busline_at\n"
			  "\tset -l command\n\tset -l known");
	for (const bus_cli_command *const *row = bus_cli_commands(); *row != NULL; row++) {
		bus_buf_printf(out, " '%s'", (*row)->name);
	}
	bus_buf_cstr(out,
		     "\n\tfor word in (commandline -opc)[2..]\n"
		     "\t\tset -l longer (string trim -- \"$command $word\")\n"
		     "\t\tcontains -- $longer $known; and set command $longer\n\tend\n"
		     "\ttest \"$command\" = \"$argv[1]\"\nend\n"
		     "complete -c busline -f\n");
	busp_fish_options(out, NULL, bus_cli_globals());
	for (const bus_cli_command *const *row = bus_cli_commands(); *row != NULL; row++) {
		if ((*row)->group != NULL) {
			busp_fish_command(out, *row);
		}
	}
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		const bus_config_option *row = bus_config_option_of((bus_config_key)key);
		bus_buf_cstr(out, "complete -c busline -x -l ");
		busp_flag(out, row->name);
		bus_buf_cstr(out, " -d ");
		busp_fish_quoted(out, row->help);
		bus_buf_byte(out, '\n');
	}
}

bool
bus_cli_completion(const char *shell, bus_buf *out)
{
	static const struct {
		const char *shell;
		void (*write)(bus_buf *out);
	} shells[] = { { "bash", busp_bash }, { "zsh", busp_zsh }, { "fish", busp_fish } };
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		if (strcmp(shells[i].shell, shell) == 0) {
			shells[i].write(out);
			return true;
		}
	}
	return false;
}
