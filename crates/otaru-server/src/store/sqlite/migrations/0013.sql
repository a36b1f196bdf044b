-- A session outlives the connection of its device until expires_at, which is unknown while that lasts.
CREATE TABLE session (
    device     INTEGER PRIMARY KEY,
    expiry_s   INTEGER NOT NULL,
    expires_at INTEGER,
    sent_to    INTEGER,
    messages   INTEGER NOT NULL DEFAULT 0,
    bytes      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX session_due ON session (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX session_endless ON session (device) WHERE expires_at IS NULL;

-- product: whose broadcasts the filter is about.
CREATE TABLE session_subscription (
    device              INTEGER NOT NULL,
    filter              TEXT NOT NULL,
    qos                 INTEGER NOT NULL,
    id                  INTEGER,
    retain_as_published INTEGER NOT NULL,
    product             INTEGER,
    PRIMARY KEY (device, filter)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_broadcast ON session_subscription (product, device) WHERE product IS NOT NULL;

-- No number is used again: a connection that is slow to end must not acknowledge another message.
CREATE TABLE session_message (
    no         INTEGER PRIMARY KEY AUTOINCREMENT,
    device     INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    topic      TEXT NOT NULL,
    beside     TEXT,
    payload    BLOB NOT NULL
) STRICT;
CREATE INDEX session_message_of_device ON session_message (device, no);
CREATE INDEX session_message_due ON session_message (expires_at);

CREATE TABLE session_total (
    no       INTEGER PRIMARY KEY CHECK (no = 1),
    messages INTEGER NOT NULL,
    bytes    INTEGER NOT NULL
) STRICT;
INSERT INTO session_total VALUES (1, 0, 0);
