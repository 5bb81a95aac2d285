-- What a server must be before its answers are believed.
SELECT current_setting('fsync'), current_setting('full_page_writes'),
       current_setting('transaction_read_only'), current_setting('server_encoding'),
       (to_regclass('busline.migration') IS NOT NULL)::text
