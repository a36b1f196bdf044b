CREATE TABLE device_file (
    no         INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    device     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    md5        TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX device_file_of_device ON device_file (device);
CREATE INDEX device_file_blob ON device_file (sha256);
