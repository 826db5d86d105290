-- The Credential Backup Service. Containers are closed to services; what recognises the phrase is sealed.

CREATE TABLE credential_backups (
    guid            TEXT PRIMARY KEY REFERENCES accounts (guid),
    sequence        INTEGER NOT NULL,
    container       BLOB NOT NULL,
    sealed_verifier BLOB NOT NULL,
    stored_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE recovery_codes (
    token_hash TEXT PRIMARY KEY,
    guid       TEXT NOT NULL UNIQUE REFERENCES accounts (guid),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Never forgotten: a clock that was set back gives no try again.
CREATE TABLE recovery_tries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    guid   TEXT NOT NULL REFERENCES accounts (guid),
    at     INTEGER NOT NULL
) STRICT;
CREATE INDEX recovery_tries_by_member ON recovery_tries (guid, at);

CREATE TABLE recoveries (
    recovery_id  TEXT PRIMARY KEY,
    guid         TEXT NOT NULL REFERENCES accounts (guid),
    app_key      TEXT NOT NULL,
    old_app_key  TEXT,
    recovered_at INTEGER NOT NULL,
    hold_until   INTEGER NOT NULL,
    approved_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX recoveries_by_member ON recoveries (guid, recovery_id);

CREATE TABLE notices (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    guid   TEXT NOT NULL REFERENCES accounts (guid),
    notice TEXT NOT NULL
) STRICT;
CREATE INDEX notices_by_member ON notices (guid, number);
