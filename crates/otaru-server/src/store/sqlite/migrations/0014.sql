-- What devices of a product may publish and subscribe to; callers see the number of a class, so it is never used twice.
CREATE TABLE topic_class (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    product     INTEGER NOT NULL,
    tail        TEXT NOT NULL,
    access      INTEGER NOT NULL,
    by_itself   INTEGER NOT NULL,
    description TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX topic_class_of_product ON topic_class (product, tail);

INSERT INTO topic_class (product, tail, access, by_itself, description)
SELECT product.no, usual.tail, usual.access, 0, ''
FROM product
JOIN (SELECT 1 AS n, 'user/update' AS tail, 0 AS access
      UNION ALL SELECT 2, 'user/update/error', 0
      UNION ALL SELECT 3, 'user/get', 1) AS usual
WHERE product.deleted_at IS NULL
ORDER BY product.no, usual.n;
