-- Who may call. A token's text stands nowhere: it is found by its digest.
CREATE TABLE tokens (
    digest text PRIMARY KEY,            -- SHA-256
    id text NOT NULL UNIQUE,            -- the digest's first twelve digits
    name text NOT NULL,
    scopes text NOT NULL,               -- words with a space between them
    group_keys text,                    -- JSON: the groups that it is bound to; null: every job
    created_at bigint NOT NULL,
    last_used_at bigint,                -- to the minute: no row that every request writes
    revoked_at bigint
);

-- The digest of the token that a session was begun with. Those of before are of no known token, so
-- their people sign in again.
ALTER TABLE sessions ADD COLUMN token text NOT NULL DEFAULT '';
CREATE INDEX sessions_token ON sessions (token);

-- For lists and counts of a group.
CREATE INDEX jobs_group ON jobs (group_key, number) WHERE group_key IS NOT NULL;
