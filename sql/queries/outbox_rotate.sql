-- No parameters.
SELECT busline.outbox_rotate()
