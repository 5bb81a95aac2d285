-- Logins of this run: the platform's processes, and an auditor who can only look.
CREATE ROLE platform LOGIN IN ROLE busline_worker, busline_gateway, busline_auditor;
CREATE ROLE auditor LOGIN IN ROLE busline_auditor;
