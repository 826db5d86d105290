-- What the registry knows of who a service is, as JSON; looked at again at due_at, NULL if there is nothing to look at.
CREATE TABLE verifications (
    service_id TEXT PRIMARY KEY REFERENCES services (service_id),
    verification TEXT NOT NULL,
    revision INTEGER NOT NULL,
    due_at INTEGER
) STRICT;

CREATE INDEX verifications_due ON verifications (due_at);
