SELECT uuid, boot, commits, topics, logs, producers, cursors, checksum FROM store
