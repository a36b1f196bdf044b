-- Batches of devices that are registered together. Their numbers are known to callers and never given again.
CREATE TABLE apply (
    no         INTEGER PRIMARY KEY AUTOINCREMENT,
    account    INTEGER NOT NULL,
    product    INTEGER NOT NULL,
    status     TEXT NOT NULL,
    is_named   INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    done       INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    made       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at     INTEGER
) STRICT;
CREATE INDEX apply_due ON apply (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX apply_ended ON apply (created_at) WHERE due_at IS NULL;

CREATE TABLE apply_name (
    apply    INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    name     TEXT NOT NULL,
    nickname TEXT NOT NULL,
    fault    INTEGER NOT NULL, -- 0: none
    device   INTEGER,
    PRIMARY KEY (apply, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX apply_made ON apply_name (apply, place, device) WHERE device IS NOT NULL;
