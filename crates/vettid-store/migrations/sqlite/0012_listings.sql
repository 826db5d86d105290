-- What services tell the directory of themselves, as JSON.
CREATE TABLE listings (
    service_id TEXT PRIMARY KEY REFERENCES services (service_id),
    category TEXT NOT NULL,
    listing TEXT NOT NULL
) STRICT;

CREATE INDEX listings_category ON listings (category);
