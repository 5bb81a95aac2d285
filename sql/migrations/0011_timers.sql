-- See below.
SET LOCAL ROLE busline_owner;
