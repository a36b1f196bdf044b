CREATE TABLE consumer_group (
    no         INTEGER PRIMARY KEY,
    account    INTEGER NOT NULL,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (account, id),
    UNIQUE (account, name)
) STRICT;
-- Pages are found by part of the name without reading the rows.
CREATE INDEX consumer_group_walk ON consumer_group (account, no, name);

-- Every account has the default group.
INSERT INTO consumer_group (account, id, name, created_at)
    SELECT no, 'DEFAULT_GROUP', 'DEFAULT_GROUP', created_at FROM account;

CREATE TABLE subscription (
    product    INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    notices    INTEGER NOT NULL, -- bits
    more_flags TEXT NOT NULL,
    queue      TEXT NOT NULL,
    PRIMARY KEY (product, kind)
) STRICT, WITHOUT ROWID;

-- Groups of a product's AMQP subscription.
CREATE TABLE subscription_group (
    product        INTEGER NOT NULL,
    place          INTEGER NOT NULL,
    consumer_group INTEGER NOT NULL,
    PRIMARY KEY (product, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscription_of_group ON subscription_group (consumer_group);
