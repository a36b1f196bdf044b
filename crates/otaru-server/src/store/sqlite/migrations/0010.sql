-- A sub-device has one gateway.
CREATE TABLE topology (
    device  INTEGER PRIMARY KEY,
    gateway INTEGER NOT NULL
) STRICT;
CREATE INDEX topology_of_gateway ON topology (gateway);
