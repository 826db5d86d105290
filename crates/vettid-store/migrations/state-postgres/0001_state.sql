-- The durable state of one program: sealed rows by name, the head that vouches for all of them, and who may write.

CREATE TABLE state_rows (
    name   bytea PRIMARY KEY CHECK (length(name) = 32),
    sealed bytea NOT NULL
);
-- What is sealed does not get smaller.
ALTER TABLE state_rows ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE state_head (
    id         integer PRIMARY KEY CHECK (id = 1),
    generation bigint NOT NULL,
    head       bytea
);
INSERT INTO state_head (id, generation) VALUES (1, 0);
