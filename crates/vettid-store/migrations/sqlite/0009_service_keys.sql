-- The signing keys of a service's account after a change, as JSON; NULL while those of its registration sign.
ALTER TABLE services ADD COLUMN signing TEXT;
