-- What the old device said about a recovery, and the enrolment by which the new device reaches the vault.

ALTER TABLE recoveries ADD COLUMN denied_at INTEGER;
ALTER TABLE recoveries ADD COLUMN session_id TEXT;
