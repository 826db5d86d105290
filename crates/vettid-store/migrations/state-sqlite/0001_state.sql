-- The durable state of one program: sealed rows by name, the head that vouches for all of them, and who may write.

CREATE TABLE state_rows (
    name   BLOB PRIMARY KEY NOT NULL CHECK (length(name) = 32),
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE state_head (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL,
    head       BLOB
) STRICT;
INSERT INTO state_head (id, generation) VALUES (1, 0);
