-- The bank's tables; a test makes them beside the platform's.
SET ROLE busline_owner;
CREATE TABLE paas.bank_account (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	account      text COLLATE "C" NOT NULL CHECK (account <> ''),
	balance      bigint NOT NULL,
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, account)
);
CREATE TABLE paas.bank_entry (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	account      text COLLATE "C" NOT NULL CHECK (account <> ''),
	saga         text COLLATE "C" NOT NULL,
	kind         text COLLATE "C" NOT NULL CHECK (kind IN ('debit', 'credit')),
	amount       bigint NOT NULL,
	status       text NOT NULL CHECK (status IN ('done', 'undone')),
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, account, saga, kind)
);
GRANT SELECT, INSERT, UPDATE ON paas.bank_account, paas.bank_entry TO busline_worker;
RESET ROLE;
