-- $1 text URL of the settings
SELECT busline.broker_url($1::text)
