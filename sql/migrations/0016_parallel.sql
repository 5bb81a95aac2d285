-- What these catch, they catch in a subtransaction, which no parallel query may begin: a question
-- about a ledger large enough for one failed.
ALTER FUNCTION busline.text_or_null(bytea) PARALLEL UNSAFE;
ALTER FUNCTION busline.jsonb_or_null(bytea) PARALLEL UNSAFE;
ALTER FUNCTION busline.headers_jsonb(bytea) PARALLEL UNSAFE;
