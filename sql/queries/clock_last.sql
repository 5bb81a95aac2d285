-- The last sign of life of a clock. No parameters.
SELECT boot_id, boot_ms, wall_ms, seen_xid FROM busline.clock
