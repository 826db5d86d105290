-- Services as the issuer of Vault Services Credentials. States and operations are sealed.

CREATE TABLE credential_issuers (
    guid     TEXT PRIMARY KEY REFERENCES accounts (guid),
    sealed   BLOB NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

CREATE TABLE credential_operations (
    guid   TEXT NOT NULL REFERENCES accounts (guid),
    op_id  TEXT NOT NULL,
    sealed BLOB NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (guid, op_id)
) STRICT;
CREATE INDEX credential_operations_by_age ON credential_operations (guid, at);
