-- The signing keys of a vault after a change, as JSON; NULL while those of its deployment sign.
ALTER TABLE vaults ADD COLUMN signing TEXT;
