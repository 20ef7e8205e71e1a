-- As for PostgreSQL, where it is explained.
CREATE TABLE breakers (
    provider TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workspaces_gone (
    job BLOB PRIMARY KEY,
    host TEXT NOT NULL,
    at INTEGER NOT NULL,
    going INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX events_nobody ON events (at) WHERE job IS NULL;
