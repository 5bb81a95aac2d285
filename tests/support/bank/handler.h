/*
 * handler.h - a bank: accounts that sagas take from and give to (for tests)
 *
 * It is here to prove that a worker is a table: a topic, two tables, a fold per command. Commands
 * come from sagas, and each saga debits, credits and takes back each at most once per account,
 * however often it asks and in whatever order: its row of bank_entry is the barrier.
 */
#ifndef BANK_HANDLER_H
#define BANK_HANDLER_H

#include "workers/engine/stamp.h"
#include "workers/engine/worker.h"

typedef struct bank_account_row {
	bus_str tenant;
	bus_str account;
	int64_t balance;
	bus_stamp stamp;
} bank_account_row;

typedef struct bank_entry_row {
	bus_str tenant;
	bus_str account;
	bus_str saga;
	bus_str kind; /* "debit", "credit" */
	int64_t amount; /* that the account has changed by: 0 when it was taken back first */
	bus_str status; /* "done", "undone" */
	bus_stamp stamp;
} bank_entry_row;

extern const bus_row_type bank_account_table;
extern const bus_row_type bank_entry_table;
extern const bus_worker bank_worker;

#endif
