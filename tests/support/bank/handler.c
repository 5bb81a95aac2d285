/*
 * handler.c - the folds of the bank
 */
#include "tests/support/bank/handler.h"

#include <inttypes.h>

#include "core/json.h"

#define TYPE(fact) "io.busline.bank." fact ".v1"

static const bus_column account_columns[] = {
	BUS_COLUMN(bank_account_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bank_account_row, account, BUS_COL_TEXT),
	BUS_COLUMN(bank_account_row, balance, BUS_COL_INT8),
	BUS_STAMP_COLUMNS(bank_account_row),
};

const bus_row_type bank_account_table = {
	.name = "bank_account",
	.size = sizeof(bank_account_row),
	.columns = account_columns,
	.column_count = sizeof(account_columns) / sizeof(account_columns[0]),
	.key_count = 2,
};

static const bus_column entry_columns[] = {
	BUS_COLUMN(bank_entry_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bank_entry_row, account, BUS_COL_TEXT),
	BUS_COLUMN(bank_entry_row, saga, BUS_COL_TEXT),
	BUS_COLUMN(bank_entry_row, kind, BUS_COL_TEXT),
	BUS_COLUMN(bank_entry_row, amount, BUS_COL_INT8),
	BUS_COLUMN(bank_entry_row, status, BUS_COL_TEXT),
	BUS_STAMP_COLUMNS(bank_entry_row),
};

const bus_row_type bank_entry_table = {
	.name = "bank_entry",
	.size = sizeof(bank_entry_row),
	.columns = entry_columns,
	.column_count = sizeof(entry_columns) / sizeof(entry_columns[0]),
	.key_count = 4,
};

/* What one command does to an account. */
typedef struct change {
	bus_str kind;     /* of the entry */
	int64_t sign;     /* of the amount */
	bool undo;        /* of an entry that was made, or will be */
	const char *done; /* the fact that says so */
	const char *failed;
} change;

static void
answer(bus_fold *fold, const char *type, const char *reason)
{
	bus_fold_emit(fold, &(bus_follow_up){
				    .type = type,
				    .step = "answer",
				    .data = reason == NULL ?
						    json_object() :
						    json_pack("{s:s}", "reason", reason),
			    });
}

/* Makes the entry, or takes it back; *amount is what the balance changes by. Returns why it may
 * not be, or NULL. */
static const char *
decide(const change *what, bank_entry_row *entry, bool known, int64_t balance,
       int64_t *amount)
{
	*amount = 0;
	if (what->undo) {
		if (!known) {
			entry->amount =
				0; /* the command that it takes back may still come */
		} else if (bus_str_is(entry->status, "done")) {
			*amount = -entry->amount;
		}
		entry->status = BUS_STR("undone");
		return NULL;
	}
	if (known) {
		return bus_str_is(entry->status, "done") ?
			       NULL :
			       "it was taken back before it came";
	}
	if (balance + what->sign * entry->amount < 0 && what->sign < 0) {
		return "the account has not enough";
	}
	*amount = entry->amount = what->sign * entry->amount;
	entry->status = BUS_STR("done");
	return NULL;
}

static bus_verdict
apply(bus_fold *fold, const bus_event *event, const json_t *data, const change *what)
{
	const void *found;
	bank_account_row account = { .balance = 0 };
	bank_entry_row entry = {
		.saga = event->sagaid,
		.kind = what->kind,
		.amount = bus_json_int(data, "amount", 0),
	};
	if (bus_str_empty(event->sagaid)) {
		return bus_fold_reject(fold, "only sagas move money");
	}
	if (bus_fold_get(fold, &bank_account_table, &account, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found == NULL) {
		answer(fold, what->failed, "no such account");
		return bus_fold_ignore(fold, "no such account");
	}
	account = *(const bank_account_row *)found;
	bus_found known = bus_fold_get(fold, &bank_entry_table, &entry, &found);
	if (known == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (known == BUS_FOUND) {
		entry = *(const bank_entry_row *)found;
	}
	bus_str mode = bus_json_str(data, "mode");
	if (bus_str_is(mode, "fail")) {
		answer(fold, what->failed, "told to");
		return bus_fold_ignore(fold, "told to fail");
	}
	int64_t amount;
	const char *why =
		decide(what, &entry, known == BUS_FOUND, account.balance, &amount);
	if (why != NULL) {
		answer(fold, what->failed, why);
		return bus_fold_ignore(fold, "%s", why);
	}
	account.balance += amount;
	account.stamp = entry.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bank_account_table, &account);
	bus_fold_put(fold, &bank_entry_table, &entry);
	/* one that is done and never says so */
	if (!bus_str_is(mode, "silent")) {
		answer(fold, what->done, NULL);
	}
	return BUS_APPLIED;
}

static bus_verdict
on_opened(bus_fold *fold, const bus_event *event, const json_t *data)
{
	const void *found;
	bank_account_row account = { .balance = bus_json_int(data, "balance", 0) };
	bus_found known = bus_fold_get(fold, &bank_account_table, &account, &found);
	if (known != BUS_ABSENT) {
		return known == BUS_WAIT ? bus_fold_wait(fold) :
					   bus_fold_ignore(fold, "it is open");
	}
	account.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bank_account_table, &account);
	return BUS_APPLIED;
}

static bus_verdict
on_debit(bus_fold *fold, const bus_event *event, const json_t *data)
{
	static const change debit = { BUS_STR("debit"), -1, false, TYPE("debited"),
				      TYPE("debit-failed") };
	return apply(fold, event, data, &debit);
}

static bus_verdict
on_refund(bus_fold *fold, const bus_event *event, const json_t *data)
{
	static const change refund = { BUS_STR("debit"), -1, true, TYPE("refunded"),
				       TYPE("refunded") };
	return apply(fold, event, data, &refund);
}

static bus_verdict
on_credit(bus_fold *fold, const bus_event *event, const json_t *data)
{
	static const change credit = { BUS_STR("credit"), 1, false, TYPE("credited"),
				       TYPE("credit-failed") };
	return apply(fold, event, data, &credit);
}

static bus_verdict
on_recall(bus_fold *fold, const bus_event *event, const json_t *data)
{
	static const change recall = { BUS_STR("credit"), 1, true, TYPE("recalled"),
				       TYPE("recalled") };
	return apply(fold, event, data, &recall);
}

static bus_verdict
on_answer(bus_fold *fold, const bus_event *event, const json_t *data)
{
	(void)event;
	(void)data;
	return bus_fold_ignore(fold, "the bank's own answer");
}

static const bus_handler handlers[] = {
	{ TYPE("opened"), on_opened },           { TYPE("debit-requested"), on_debit },
	{ TYPE("refund-requested"), on_refund }, { TYPE("credit-requested"), on_credit },
	{ TYPE("recall-requested"), on_recall }, { TYPE("debited"), on_answer },
	{ TYPE("debit-failed"), on_answer },     { TYPE("refunded"), on_answer },
	{ TYPE("credited"), on_answer },         { TYPE("credit-failed"), on_answer },
	{ TYPE("recalled"), on_answer },         { NULL, NULL },
};

static const bus_row_type *const tables[] = { &bank_account_table, &bank_entry_table,
					      NULL };

const bus_worker bank_worker = {
	.name = "bank",
	.topic = "busline.bank",
	.help = "Folds busline.bank into accounts",
	.handlers = handlers,
	.tables = tables,
};
