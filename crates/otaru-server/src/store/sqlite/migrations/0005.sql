-- Devices and products can be deleted. A number of a device is never given again, since tasks go on naming it.
CREATE TABLE device_next (
    no           INTEGER PRIMARY KEY AUTOINCREMENT,
    product      INTEGER NOT NULL,
    name         TEXT NOT NULL,
    iot_id       TEXT NOT NULL UNIQUE,
    secret       TEXT NOT NULL,
    nickname     TEXT NOT NULL,
    disabled     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    activated_at INTEGER,
    online_at    INTEGER,
    address      TEXT NOT NULL,
    status_at    INTEGER NOT NULL,
    reset_at     INTEGER, -- since when it may register itself again
    state        INTEGER NOT NULL GENERATED ALWAYS AS
                     (CASE WHEN disabled THEN 2 WHEN activated_at IS NULL THEN 0 ELSE 1 END) VIRTUAL,
    UNIQUE (product, name)
) STRICT;
INSERT INTO device_next (no, product, name, iot_id, secret, nickname, disabled, created_at, activated_at, online_at,
        address, status_at)
    SELECT no, product, name, iot_id, secret, nickname, disabled, created_at, activated_at, online_at, address,
        coalesce(online_at, created_at)
    FROM device;
DROP TABLE device;
ALTER TABLE device_next RENAME TO device;
CREATE INDEX device_of_product ON device (product);
CREATE INDEX device_by_state ON device (product, state);

-- What the history of a job still shows of a device that was deleted.
CREATE TABLE device_gone (
    no         INTEGER PRIMARY KEY,
    product    INTEGER NOT NULL,
    name       TEXT NOT NULL,
    iot_id     TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Devices of a product by state: can be rebuilt by counting them.
ALTER TABLE product ADD COLUMN unactive INTEGER NOT NULL DEFAULT 0;
ALTER TABLE product ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE product ADD COLUMN activated INTEGER NOT NULL DEFAULT 0; -- ever, disabled or not
ALTER TABLE product ADD COLUMN deleted_at INTEGER;
ALTER TABLE product ADD COLUMN doomed_at INTEGER; -- while something of a deleted product is left
UPDATE product SET
    unactive = (SELECT count(*) FROM device WHERE device.product = product.no AND state = 0),
    disabled = (SELECT count(*) FROM device WHERE device.product = product.no AND state = 2),
    activated = (SELECT count(*) FROM device WHERE device.product = product.no AND activated_at IS NOT NULL);
DROP INDEX product_name;
CREATE INDEX product_name ON product (account, instance, name) WHERE deleted_at IS NULL;
CREATE INDEX product_of_account ON product (account, instance) WHERE deleted_at IS NULL;
CREATE INDEX product_of_kind ON product (account, instance, commodity_code) WHERE deleted_at IS NULL;
CREATE INDEX product_doomed ON product (doomed_at) WHERE doomed_at IS NOT NULL;
CREATE INDEX job_open ON job (product) WHERE status < 2;
