-- Retained messages. kind 0: on topics of the device that owner names; 1: on broadcast topics of that product.
CREATE TABLE retained (
    kind       INTEGER NOT NULL,
    owner      INTEGER NOT NULL,
    topic      TEXT NOT NULL,
    qos        INTEGER NOT NULL,
    expires_at INTEGER,
    beside     TEXT NOT NULL,
    payload    BLOB NOT NULL,
    PRIMARY KEY (kind, owner, topic)
) STRICT;
