-- As for PostgreSQL, where it is explained.
CREATE TABLE tokens (
    digest TEXT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    group_keys TEXT,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

ALTER TABLE sessions ADD COLUMN token TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_token ON sessions (token);

CREATE INDEX jobs_group ON jobs (group_key, number) WHERE group_key IS NOT NULL;
