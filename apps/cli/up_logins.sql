-- Logins of one machine, unless they are there: the platform's processes and its people, and an
-- auditor who can only look. The socket admits who may reach its directory; nobody has a password.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'platform') THEN
		CREATE ROLE platform LOGIN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'auditor') THEN
		CREATE ROLE auditor LOGIN;
	END IF;
END
$$;
GRANT busline_worker, busline_gateway, busline_auditor TO platform;
GRANT busline_auditor TO auditor;
