-- Times are milliseconds since 1970; codes of statuses and kinds are those of the mapping code beside the queries.
-- Rows are numbered by creation, so "newest first" is an index walked backwards.

CREATE TABLE account (
    no         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    devices    INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE access_key (
    id         TEXT PRIMARY KEY,
    secret     TEXT NOT NULL,
    account    INTEGER NOT NULL,
    active     INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE nonce (
    no         INTEGER PRIMARY KEY,
    access_key TEXT NOT NULL,
    nonce      TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (access_key, nonce)
) STRICT;
CREATE INDEX nonce_expiry ON nonce (expires_at);

CREATE TABLE product (
    no             INTEGER PRIMARY KEY,
    account        INTEGER NOT NULL,
    key            TEXT NOT NULL UNIQUE,
    secret         TEXT NOT NULL,
    name           TEXT NOT NULL,
    node_type      INTEGER NOT NULL,
    commodity_code TEXT NOT NULL,
    auth_type      TEXT NOT NULL,
    data_format    INTEGER,
    category_key   TEXT NOT NULL,
    description    TEXT NOT NULL,
    protocol_type  TEXT NOT NULL,
    net_type       INTEGER NOT NULL,
    validate_type  INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    devices        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX product_name ON product (account, name);

CREATE TABLE module (
    product INTEGER NOT NULL,
    key     TEXT NOT NULL, -- lower case
    name    TEXT NOT NULL,
    PRIMARY KEY (product, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    no           INTEGER PRIMARY KEY,
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
    UNIQUE (product, name)
) STRICT;
CREATE INDEX device_of_product ON device (product);

CREATE TABLE device_version (
    device      INTEGER NOT NULL,
    module      TEXT NOT NULL, -- lower case
    version     TEXT NOT NULL,
    reported_at INTEGER NOT NULL,
    PRIMARY KEY (device, module)
) STRICT, WITHOUT ROWID;

CREATE TABLE upload (
    key        TEXT PRIMARY KEY,
    account    INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    issued_at  INTEGER NOT NULL,
    size_bytes INTEGER,
    md5        TEXT,
    sha256     TEXT,
    stored_at  INTEGER,
    used       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_unused ON upload (issued_at) WHERE used = 0;
CREATE INDEX upload_blob ON upload (sha256) WHERE used = 0;

CREATE TABLE package (
    no             INTEGER PRIMARY KEY,
    account        INTEGER NOT NULL,
    product        INTEGER NOT NULL,
    id             TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    description    TEXT NOT NULL,
    dest           TEXT NOT NULL,
    src            TEXT,
    is_delta       INTEGER NOT NULL,
    module         TEXT NOT NULL,
    module_key     TEXT NOT NULL, -- lower case
    sign_method    TEXT NOT NULL,
    is_list        INTEGER NOT NULL,
    udi            TEXT NOT NULL,
    status         INTEGER NOT NULL,
    verify_percent INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    modified_at    INTEGER NOT NULL,
    deleted_at     INTEGER
) STRICT;
CREATE INDEX package_of_account ON package (account) WHERE deleted_at IS NULL;
CREATE INDEX package_of_product ON package (product) WHERE deleted_at IS NULL;
CREATE INDEX package_name ON package (account, name) WHERE deleted_at IS NULL;
CREATE INDEX package_dest ON package (product, dest) WHERE deleted_at IS NULL;

CREATE TABLE package_file (
    package    INTEGER NOT NULL,
    place      INTEGER NOT NULL,
    name       TEXT NOT NULL,
    upload_key TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    md5        TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    PRIMARY KEY (package, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX package_file_blob ON package_file (sha256);

CREATE TABLE job (
    no              INTEGER PRIMARY KEY,
    account         INTEGER NOT NULL,
    product         INTEGER NOT NULL,
    package         INTEGER NOT NULL,
    module_key      TEXT NOT NULL, -- of the package
    id              TEXT NOT NULL UNIQUE,
    kind            INTEGER NOT NULL,
    selection       INTEGER NOT NULL,
    selection_value INTEGER NOT NULL,
    src_versions    TEXT NOT NULL, -- JSON: ["1.0", …]
    need_push       INTEGER NOT NULL,
    need_confirm    INTEGER NOT NULL,
    retry_interval  INTEGER,
    retry_count     INTEGER,
    timeout_minutes INTEGER,
    overwrite_mode  INTEGER NOT NULL,
    multi_module    INTEGER NOT NULL,
    max_per_minute  INTEGER,
    download        TEXT NOT NULL,
    tags            TEXT NOT NULL, -- JSON: [["key", "value"], …]
    status          INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    modified_at     INTEGER NOT NULL,
    started_at      INTEGER,
    ended_at        INTEGER,
    schedule_at     INTEGER,
    finish_at       INTEGER,
    finish_played   INTEGER NOT NULL DEFAULT 0,
    list            TEXT, -- SHA-256 of the names that it is filled from
    fill_after      INTEGER,
    fill_until      INTEGER,
    fill_rank_max   INTEGER, -- 64 bits, the sign is the highest
    sweep_cancels   INTEGER,
    sweep_cause     INTEGER,
    sweep_at        INTEGER,
    sweep_after     INTEGER,
    bucket_parts    INTEGER, -- 64 bits, the sign is the highest
    bucket_at       INTEGER,
    due_at          INTEGER
) STRICT;
CREATE INDEX job_of_package ON job (package);
CREATE INDEX job_dynamic ON job (product, module_key) WHERE selection = 3 AND status = 1;
CREATE INDEX job_list ON job (list) WHERE list IS NOT NULL;
CREATE INDEX job_due ON job (due_at) WHERE due_at IS NOT NULL;

-- Tasks of a job by status: can be rebuilt by counting them.
CREATE TABLE job_count (
    job INTEGER PRIMARY KEY,
    c0  INTEGER NOT NULL DEFAULT 0,
    c1  INTEGER NOT NULL DEFAULT 0,
    c2  INTEGER NOT NULL DEFAULT 0,
    c3  INTEGER NOT NULL DEFAULT 0,
    c4  INTEGER NOT NULL DEFAULT 0,
    c5  INTEGER NOT NULL DEFAULT 0,
    c6  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What changes often is a narrow row: a batch of reports from anywhere in the fleet then dirties few pages.
CREATE TABLE task (
    no           INTEGER PRIMARY KEY,
    job          INTEGER NOT NULL,
    device       INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    progress     INTEGER NOT NULL,
    failed_tries INTEGER NOT NULL,
    told         INTEGER NOT NULL,
    retry_at     INTEGER,
    timeout_at   INTEGER,
    due_at       INTEGER,
    reason       INTEGER NOT NULL,
    modified_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX task_of_job ON task (job);
CREATE INDEX task_by_status ON task (job, status);
CREATE INDEX task_unfinished ON task (device) WHERE status < 4;
CREATE INDEX task_of_device ON task (device, job);
CREATE INDEX task_due ON task (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE task_detail (
    no              INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    src             TEXT,
    description     TEXT NOT NULL,
    timeout_minutes INTEGER,
    created_at      INTEGER NOT NULL,
    ended_at        INTEGER
) STRICT;
