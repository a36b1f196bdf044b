-- Devices register themselves with the secret of their product.
ALTER TABLE product ADD COLUMN registration INTEGER NOT NULL DEFAULT 0; -- 0 off, 1 known names, 2 any
ALTER TABLE device ADD COLUMN registered_at INTEGER; -- when it last got a secret in this way, since it was reset
