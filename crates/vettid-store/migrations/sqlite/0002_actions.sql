-- Tokens of the HTTP API that were used, until a day after their death; and which request an operation stands for.

CREATE TABLE spent_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_tokens_by_age ON spent_tokens (expires_at);

CREATE TABLE operations (
    guid     TEXT NOT NULL REFERENCES accounts (guid),
    action   TEXT NOT NULL,
    op_id    TEXT NOT NULL,
    req_hash TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (guid, action, op_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX operations_by_age ON operations (at);
