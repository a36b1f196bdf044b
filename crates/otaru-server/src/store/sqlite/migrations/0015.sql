-- What a device reported last and what is wanted of it, as one JSON document.
CREATE TABLE shadow (
    device   INTEGER PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;
