-- Users of an account, what they may do, temporary keys; instances.

ALTER TABLE account ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;

CREATE TABLE user (
    no           INTEGER PRIMARY KEY,
    account      INTEGER NOT NULL,
    name         TEXT NOT NULL,
    may_read     INTEGER NOT NULL,
    may_write    INTEGER NOT NULL,
    all_products INTEGER NOT NULL,
    disabled     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (account, name)
) STRICT;

-- By key, which is never given again, unlike the number of a deleted product.
CREATE TABLE user_product (
    user    INTEGER NOT NULL,
    product TEXT NOT NULL,
    PRIMARY KEY (user, product)
) STRICT, WITHOUT ROWID;

ALTER TABLE access_key ADD COLUMN user INTEGER; -- none: the account itself
ALTER TABLE access_key ADD COLUMN token TEXT; -- of a temporary key
ALTER TABLE access_key ADD COLUMN expires_at INTEGER;
CREATE INDEX access_key_of_account ON access_key (account, created_at, id);
CREATE INDEX access_key_of_user ON access_key (user) WHERE user IS NOT NULL;
CREATE UNIQUE INDEX access_key_token ON access_key (token) WHERE token IS NOT NULL;
CREATE INDEX access_key_temporary ON access_key (expires_at) WHERE token IS NOT NULL;

CREATE TABLE instance (
    no INTEGER PRIMARY KEY, -- from 1: 0 is the default instance
    id TEXT NOT NULL UNIQUE
) STRICT;

ALTER TABLE product ADD COLUMN instance INTEGER NOT NULL DEFAULT 0;
DROP INDEX product_name;
CREATE INDEX product_name ON product (account, instance, name);

ALTER TABLE package ADD COLUMN instance INTEGER NOT NULL DEFAULT 0; -- that of its product
DROP INDEX package_of_account;
CREATE INDEX package_of_account ON package (account, instance) WHERE deleted_at IS NULL;
