/*
 * up_state.c - what runs: the line of a process, state.json, `up --status`
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/up.h"
#include "core/json.h"

#define FILE_NAME "state.json"
#define FILE_BYTES_MAX (64 * 1024)
#define BOOT_ID_MAX 64
/* How long what an earlier one left gets to end by itself, as the kernel told it to. A second
 * signal would make it end at once: workers would not leave their groups. */
#define LEFT_MS 10000
#define LEFT_POSTGRES_MS 60000

static const bus_cli_column columns[] = {
	{ "time", .cell = BUS_CLI_CELL_TEXT, .width = 20 },
	{ "name", .cell = BUS_CLI_CELL_TEXT, .width = 8 },
	{ "pid", .cell = BUS_CLI_CELL_NUMBER, .width = 7 },
	{ "state", .cell = BUS_CLI_CELL_TEXT, .width = 8 },
	{ "uptime_s", .cell = BUS_CLI_CELL_NUMBER, .width = 8 },
	{ "restarts", .cell = BUS_CLI_CELL_NUMBER, .width = 8 },
	{ "detail", .cell = BUS_CLI_CELL_TEXT, .width = 6 },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

const char *
bus_up_state_text(bus_up_state state)
{
	static const char *const texts[] = {
#define X(symbol, text, why) [BUS_UP_##symbol] = (text),
		BUS_UP_STATE_LIST(X)
#undef X
	};
	return texts[state];
}

/* Whole seconds are enough for people. */
static bus_str
busp_time(bus_arena *arena, int64_t us)
{
	char text[BUS_TIME_TEXT_MAX];
	bus_time_format(us, text);
	return bus_arena_printf(arena, "%.19sZ", text);
}

/* ---- one line ---- */

void
bus_up_show(bus_up *up, const bus_up_process *process)
{
	bus_cli_rows rows;
	bus_arena_reset(up->line);
	bus_cli_rows_init(&rows, up->line, columns, COLUMNS);
	int64_t lived = bus_clock_mono_ms(up->cli->clock) - process->started_mono;
	bool runs = process->pid != 0;
	bus_cli_rows_add(&rows, (const bus_str[]){
					busp_time(up->line, process->since_us),
					bus_str_from(process->command.name),
					runs ? bus_cli_number(up->line, process->pid) :
					       BUS_STR_NULL,
					bus_str_from(bus_up_state_text(process->state)),
					runs ? bus_cli_number(up->line, lived / 1000) :
					       BUS_STR_NULL,
					bus_cli_number(up->line, process->restarts),
					bus_str_from(process->detail),
				});
	up->printer.columns = columns;
	bus_cli_print_more(&up->printer, &rows.table);
}

/* ---- state.json ---- */

static void
busp_boot_id(char ret_id[BOOT_ID_MAX])
{
	memset(ret_id, 0, BOOT_ID_MAX);
	int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (file >= 0) {
		ssize_t got = read(file, ret_id, BOOT_ID_MAX - 1);
		close(file);
		ret_id[got > 0 ? strcspn(ret_id, "\n") : 0] = '\0';
	}
}

static void
busp_member(bus_buf *out, const char *name, const char *text)
{
	bus_buf_printf(out, "\"%s\":", name);
	bus_buf_json_string(out, bus_str_from(text));
}

void
bus_up_save(bus_up *up)
{
	BUS_BUF_AUTO out = { 0 };
	char boot_id[BOOT_ID_MAX];
	busp_boot_id(boot_id);
	bus_buf_printf(&out, "{\"pid\":%d,", (int)getpid());
	busp_member(&out, "boot_id", boot_id);
	bus_buf_byte(&out, ',');
	busp_member(&out, "broker_url", up->known_url);
	bus_buf_byte(&out, ',');
	busp_member(&out, "db_url", up->db_url);
	bus_buf_cstr(&out, ",\"processes\":[");
	for (size_t i = 0; i < up->count; i++) {
		const bus_up_process *process = &up->processes[i];
		bus_buf_cstr(&out, i == 0 ? "\n{" : ",\n{");
		busp_member(&out, "name", process->command.name);
		bus_buf_printf(&out,
			       ",\"pid\":%d,\"start_ticks\":%llu,\"since_us\":%lld,"
			       "\"started_us\":%lld,\"restarts\":%u,",
			       (int)process->pid,
			       (unsigned long long)process->start_ticks,
			       (long long)process->since_us,
			       (long long)(up->begun_us +
					   (process->started_mono - up->begun_mono) *
						   1000),
			       process->restarts);
		busp_member(&out, "state", bus_up_state_text(process->state));
		bus_buf_byte(&out, ',');
		busp_member(&out, "detail", process->detail);
		bus_buf_byte(&out, '}');
	}
	bus_buf_cstr(&out, "\n]}\n");
	/* a full disk must not end what runs; the next change writes it again */
	if (!bus_up_write(up, FILE_NAME, bus_buf_view(&out))) {
		bus_cli_note(up->cli, "%s/" FILE_NAME " cannot be written: %s", up->data,
			     strerror(errno));
	}
}

/* NULL if there is none, or none that can be read; new. */
static json_t *
busp_load(const char *data)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/" FILE_NAME, data);
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0) {
		return NULL;
	}
	BUS_BUF_AUTO text = { 0 };
	ssize_t got = read(file, bus_buf_reserve(&text, FILE_BYTES_MAX), FILE_BYTES_MAX);
	close(file);
	bus_error err = BUS_ERROR_INIT;
	json_t *json = NULL;
	text.len = got > 0 ? (size_t)got : 0;
	return bus_json_parse(bus_buf_view(&text), &json, &err) == BUS_OK ? json : NULL;
}

/* ---- what an earlier one left ---- */

static bool
busp_lives(const json_t *process)
{
	pid_t pid = (pid_t)bus_json_int(process, "pid", 0);
	uint64_t ticks = (uint64_t)bus_json_int(process, "start_ticks", 0);
	return pid > 0 && ticks != 0 && bus_up_start_ticks(pid) == ticks;
}

/* Do any live still? What is late is killed. */
static bool
busp_any_lives(const json_t *processes, int64_t waited_ms)
{
	bool any = false;
	size_t i;
	json_t *process;
	json_array_foreach(processes, i, process)
	{
		bool slow = bus_str_is(bus_json_str(process, "name"), "postgres");
		if (!busp_lives(process)) {
			continue;
		}
		any = true;
		if (waited_ms >= (slow ? LEFT_POSTGRES_MS : LEFT_MS)) {
			kill((pid_t)bus_json_int(process, "pid", 0), SIGKILL);
		}
	}
	return any;
}

void
bus_up_adopt(bus_up *up, const char **ret_broker_url)
{
	char boot_id[BOOT_ID_MAX];
	BUS_JSON_AUTO *state = busp_load(up->data);
	bus_str url = bus_json_str(state, "broker_url");
	*ret_broker_url =
		url.data == NULL ? NULL : bus_arena_str(up->cli->arena, url).data;
	busp_boot_id(boot_id);
	const json_t *processes = json_object_get(state, "processes");
	int64_t begun = bus_clock_mono_ms(up->cli->clock);
	/* process ids of another boot are other processes */
	if (!bus_str_is(bus_json_str(state, "boot_id"), boot_id) ||
	    !busp_any_lives(processes, 0)) {
		return;
	}
	bus_cli_note(up->cli, "waiting for processes that an earlier `up` left");
	while (busp_any_lives(processes, bus_clock_mono_ms(up->cli->clock) - begun)) {
		bus_cli_pause(20);
	}
}

/* ---- up --status ---- */

static void
busp_add_row(const bus_cli *cli, bus_cli_rows *rows, const json_t *process)
{
	bus_str pid = BUS_STR_NULL, uptime = BUS_STR_NULL;
	int64_t now = bus_clock_wall_us(cli->clock);
	if (bus_json_int(process, "pid", 0) > 0) {
		pid = bus_cli_number(cli->arena, bus_json_int(process, "pid", 0));
		uptime = bus_cli_number(cli->arena,
					(now - bus_json_int(process, "started_us", now)) /
						1000000);
	}
	bus_cli_rows_add(
		rows,
		(const bus_str[]){
			busp_time(cli->arena, bus_json_int(process, "since_us", 0)),
			bus_arena_str(cli->arena, bus_json_str(process, "name")),
			pid,
			bus_arena_str(cli->arena, bus_json_str(process, "state")),
			uptime,
			bus_cli_number(cli->arena, bus_json_int(process, "restarts", 0)),
			bus_arena_str(cli->arena, bus_json_str(process, "detail")),
		});
}

bus_exit
bus_up_status(const bus_cli *cli, const char *data)
{
	pid_t holder;
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, cli->arena, columns, COLUMNS);
	if (bus_up_holder(data, &holder) != 1) {
		bus_cli_print(cli, &rows.table);
		bus_cli_note(cli, "nothing is up in %s", data);
		return BUS_EXIT_FAILED;
	}
	BUS_JSON_AUTO *state = busp_load(data);
	size_t i;
	json_t *process;
	json_array_foreach(json_object_get(state, "processes"), i, process)
	{
		busp_add_row(cli, &rows, process);
	}
	bus_cli_print(cli, &rows.table);
	return BUS_EXIT_OK;
}
