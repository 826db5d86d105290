-- What services keep. Tokens are SHA-256 hashes (base64), keys are public, times are milliseconds since 1970.

CREATE TABLE accounts (
    guid              TEXT PRIMARY KEY,
    name              TEXT NOT NULL UNIQUE,
    portal_token_hash TEXT NOT NULL UNIQUE,
    created_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE hosts (
    host_id         TEXT PRIMARY KEY,
    subscriber_nkey TEXT NOT NULL UNIQUE,
    publisher_nkey  TEXT NOT NULL UNIQUE,
    expires_at      INTEGER NOT NULL,
    last_seen       INTEGER NOT NULL,
    CHECK (subscriber_nkey <> publisher_nkey)
) STRICT, WITHOUT ROWID;

CREATE TABLE vaults (
    guid                   TEXT PRIMARY KEY REFERENCES accounts (guid),
    host_id                TEXT NOT NULL REFERENCES hosts (host_id),
    state                  TEXT NOT NULL CHECK (state IN ('assigned', 'deployed', 'active')),
    deployed               TEXT,
    bootstrap_signing_nkey TEXT,
    CHECK ((state = 'assigned') = (deployed IS NULL)),
    CHECK ((deployed IS NULL) = (bootstrap_signing_nkey IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX vaults_by_host ON vaults (host_id);

-- A key stands for one account or one role for ever, and a space has one account.
CREATE TABLE account_keys (
    nkey  TEXT PRIMARY KEY,
    space TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolments (
    session_id TEXT PRIMARY KEY,
    guid       TEXT NOT NULL REFERENCES accounts (guid),
    token_hash TEXT UNIQUE,
    expires_at INTEGER NOT NULL,
    stage      TEXT NOT NULL,
    revision   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolments_by_member ON enrolments (guid, session_id);

CREATE TABLE services (
    service_id    TEXT PRIMARY KEY,
    guid          TEXT NOT NULL UNIQUE,
    account_nkey  TEXT NOT NULL UNIQUE,
    registration  TEXT NOT NULL,
    registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revocations (
    account_nkey TEXT NOT NULL,
    user_nkey    TEXT NOT NULL,
    revoked_at   INTEGER NOT NULL,
    PRIMARY KEY (account_nkey, user_nkey)
) STRICT, WITHOUT ROWID;

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    entry  TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END;
CREATE TRIGGER audit_is_not_erased BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END;
