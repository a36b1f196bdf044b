-- What callers say of modules, and how a device spelt a module that its product does not have.

ALTER TABLE module ADD COLUMN alias TEXT NOT NULL DEFAULT '';
ALTER TABLE module ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE module ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE module ADD COLUMN modified_at INTEGER NOT NULL DEFAULT 0;
UPDATE module SET created_at = product.created_at, modified_at = product.created_at
    FROM product WHERE product.no = module.product;
CREATE INDEX package_of_module ON package (product, module_key) WHERE deleted_at IS NULL;

ALTER TABLE device_version ADD COLUMN spelling TEXT; -- where it differs from the lower case
