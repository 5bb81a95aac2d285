SELECT to_regclass('busline.migration') IS NOT NULL
