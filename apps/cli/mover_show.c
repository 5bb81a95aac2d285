/*
 * mover_show.c - progress and report of a move
 */
#include "apps/cli/mover_show.h"

#include <inttypes.h>
#include <stdio.h>

#define FIRST_MS 2000
#define TERMINAL_MS 200
#define LOG_MS 5000

/* ---- progress ---- */

static int64_t
now_of(const bus_mover_progress *progress)
{
	return bus_clock_mono_ms(progress->cli->clock);
}

/* A comparison counts offsets, everything else records that were added. */
static int64_t
done_of(const bus_mover *mover)
{
	return mover->to_compare > 0 ? mover->compared : bus_mover_added(mover);
}

static int64_t
left_of(const bus_mover *mover)
{
	return mover->to_compare > 0 ? mover->to_compare - mover->compared :
				       bus_mover_lag(mover);
}

void
bus_mover_progress_begin(bus_mover_progress *progress, const char *doing)
{
	bool at_once = progress->terminal || progress->shown;
	progress->doing = doing;
	progress->begun_ms = now_of(progress);
	progress->begun_done = bus_mover_added(progress->mover);
	progress->shown_ms = at_once ? 0 : progress->begun_ms + FIRST_MS - LOG_MS;
}

void
bus_mover_progress_show(bus_mover_progress *progress)
{
	const bus_mover *mover = progress->mover;
	int64_t now_ms = now_of(progress);
	int64_t pause_ms = progress->terminal ? TERMINAL_MS : LOG_MS;
	if (progress->cli->quiet || now_ms - progress->shown_ms < pause_ms) {
		return;
	}
	bool comparing = mover->to_compare > 0;
	int64_t done = done_of(mover), left = left_of(mover);
	int64_t before = comparing ? 0 : progress->begun_done;
	int64_t spent_ms = now_ms - progress->begun_ms;
	double rate =
		spent_ms > 0 ? (double)(done - before) * 1000 / (double)spent_ms : 0;
	progress->shown_ms = now_ms;
	progress->shown = true;
	fprintf(stderr, "%s%s: %" PRId64 " records %s, %" PRId64 " left, %.0f/s",
		progress->terminal ? "\r" : "", progress->doing, done,
		comparing ? "compared" : "copied", left, rate);
	if (rate > 1) {
		fprintf(stderr, ", %.0f s left", (double)left / rate);
	}
	fputs(progress->terminal ? "\033[K" : "\n", stderr);
}

void
bus_mover_progress_end(bus_mover_progress *progress)
{
	if (progress->terminal && progress->shown) {
		fputc('\n', stderr);
		progress->shown = false;
	}
}

/* ---- what came of it ---- */

static const bus_cli_column columns[] = {
	{ "topic", .cell = BUS_CLI_CELL_TEXT },
	{ "partition", .cell = BUS_CLI_CELL_NUMBER },
	{ "start", .cell = BUS_CLI_CELL_NUMBER },
	{ "end", .cell = BUS_CLI_CELL_NUMBER },
	{ "position", .cell = BUS_CLI_CELL_NUMBER },
	{ "had", .cell = BUS_CLI_CELL_NUMBER },
	{ "copied", .cell = BUS_CLI_CELL_NUMBER },
	{ "fillers", .cell = BUS_CLI_CELL_NUMBER },
	{ "compared", .cell = BUS_CLI_CELL_NUMBER },
	{ "digest", .cell = BUS_CLI_CELL_TEXT },
};

static bus_str
hex_of(bus_arena *arena, const bus_mover_part *part)
{
	char text[BUS_DIGEST_BYTES + 1] = "";
	for (size_t i = 0; i < BUS_DIGEST_BYTES / 2; i++) {
		snprintf(text + 2 * i, 3, "%02x", part->digest.bytes[i]);
	}
	return part->compared > 0 ? bus_arena_str(arena, bus_str_from(text)) :
				    BUS_STR_NULL;
}

static void
add_row(bus_cli_rows *rows, const bus_mover_part *part)
{
	bus_arena *arena = rows->arena;
	bus_str position =
		part->position < 0 ? BUS_STR_NULL : bus_cli_number(arena, part->position);
	bus_cli_rows_add(rows, (const bus_str[]){
				       bus_str_from(part->topic->name),
				       bus_cli_number(arena, part->partition),
				       bus_cli_number(arena, part->from_start),
				       bus_cli_number(arena, part->from_end),
				       position,
				       bus_cli_number(arena, part->begun),
				       bus_cli_number(arena, part->records),
				       bus_cli_number(arena, part->fillers),
				       bus_cli_number(arena, part->compared),
				       hex_of(arena, part),
			       });
}

static void
print_json(const bus_cli *cli, const bus_mover *mover, const bus_mover_outcome *outcome,
	   const bus_cli_rows *rows)
{
	bus_cli_printer printer = { .cli = cli };
	BUS_BUF_AUTO out = { 0 };
	bus_buf_cstr(&out, "{\"from\":");
	bus_buf_json_string(&out, bus_str_from(outcome->from_url));
	bus_buf_cstr(&out, ",\"to\":");
	bus_buf_json_string(&out, bus_str_from(outcome->to_url));
	bus_buf_printf(&out,
		       ",\"moved\":%s,\"topics\":%zu,\"records\":%" PRId64
		       ",\"seconds\":%.3f,\"sealed_ms\":%" PRId64 ",\"partitions\":[",
		       outcome->moved ? "true" : "false", mover->topic_count,
		       bus_mover_added(mover), (double)outcome->spent_ms / 1000,
		       outcome->sealed_ms);
	for (size_t row = 0; row < rows->table.row_count; row++) {
		bus_buf_cstr(&out, row > 0 ? "," : "");
		bus_cli_row_json(&rows->table, row, &out);
	}
	bus_buf_cstr(&out, "]}");
	bus_cli_print_object(&printer, bus_buf_view(&out));
	bus_cli_print_end(&printer);
}

void
bus_mover_report(const bus_cli *cli, const bus_mover *mover,
		 const bus_mover_outcome *outcome)
{
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, cli->arena, columns,
			  sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < mover->part_count; i++) {
		add_row(&rows, &mover->parts[i]);
	}
	if (cli->format != BUS_CLI_TABLE) {
		print_json(cli, mover, outcome, &rows);
		return;
	}
	bus_cli_print(cli, &rows.table);
	if (!outcome->moved) {
		printf("%zu topics, %" PRId64 " records would be copied\n",
		       mover->topic_count, bus_mover_lag(mover));
		return;
	}
	printf("moved %zu topics, %" PRId64
	       " records in %.1f s; producers were kept waiting %.1f s\n",
	       mover->topic_count, bus_mover_added(mover),
	       (double)outcome->spent_ms / 1000, (double)outcome->sealed_ms / 1000);
}
