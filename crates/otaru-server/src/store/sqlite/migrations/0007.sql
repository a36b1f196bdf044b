-- Groups of devices, tags of devices and products, jobs for groups.

CREATE TABLE device_group (
    no          INTEGER PRIMARY KEY,
    account     INTEGER NOT NULL,
    instance    INTEGER NOT NULL,
    id          TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    parent      INTEGER,
    level       INTEGER NOT NULL,
    rule        TEXT, -- of a dynamic group
    is_dynamic  INTEGER NOT NULL,
    children    INTEGER NOT NULL DEFAULT 0,
    devices     INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX group_name ON device_group (account, instance, name);
CREATE INDEX group_of_kind ON device_group (account, instance, is_dynamic, no, name);
CREATE INDEX group_of_parent ON device_group (parent, no, name) WHERE parent IS NOT NULL;

CREATE TABLE group_member (
    grp    INTEGER NOT NULL,
    device INTEGER NOT NULL,
    PRIMARY KEY (grp, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_of_device ON group_member (device);

CREATE TABLE device_tag (
    device   INTEGER NOT NULL,
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    account  INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    PRIMARY KEY (device, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_by_tag ON device_tag (account, instance, key, value, device);

-- Devices that have a tag: can be rebuilt by counting them.
CREATE TABLE device_tag_count (
    account  INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    devices  INTEGER NOT NULL,
    PRIMARY KEY (account, instance, key, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE product_tag (
    product  INTEGER NOT NULL,
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    account  INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    PRIMARY KEY (product, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX product_by_tag ON product_tag (account, instance, key, value, product);

ALTER TABLE job ADD COLUMN group_no INTEGER;
ALTER TABLE job ADD COLUMN group_id TEXT;
ALTER TABLE job ADD COLUMN group_name TEXT;
CREATE INDEX job_watches ON job (product, module_key) WHERE group_no IS NOT NULL AND selection = 3 AND status = 1;
CREATE INDEX job_of_dynamic_group ON job (group_no) WHERE group_no IS NOT NULL AND selection = 3 AND status = 1;
CREATE INDEX job_fills_group ON job (group_no) WHERE group_no IS NOT NULL AND fill_after IS NOT NULL;
