-- The same tables as for PostgreSQL, where they are explained. Ids are blobs of 16 bytes.
-- AUTOINCREMENT, since a number must not come twice, also after a delete.

CREATE TABLE installation (
    id TEXT NOT NULL
) STRICT;
INSERT INTO installation VALUES (lower(hex(randomblob(6))));

CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    name_folded TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    group_key TEXT,
    priority INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    root TEXT,
    status TEXT NOT NULL
        CHECK (status IN ('queued', 'waiting', 'running', 'succeeded', 'failed', 'cancelled')),
    wait_until INTEGER,
    ready INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    lease INTEGER NOT NULL DEFAULT 0,
    host TEXT,
    lease_until INTEGER,
    event_seq INTEGER NOT NULL DEFAULT 0,
    log_seq INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    body TEXT NOT NULL,
    CHECK ((status = 'running') = (host IS NOT NULL)),
    CHECK ((status = 'running') = (lease_until IS NOT NULL))
) STRICT;

CREATE INDEX jobs_ready ON jobs (priority DESC, number)
    WHERE status IN ('queued', 'waiting') AND ready = 1;
CREATE INDEX jobs_due ON jobs (wait_until) WHERE status = 'waiting' AND ready = 0;
CREATE INDEX jobs_running ON jobs (host) WHERE status = 'running';
CREATE INDEX jobs_status ON jobs (status, number);

-- One writer at a time: `id` orders the stream.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job BLOB,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    phase TEXT,
    attempt INTEGER,
    data TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_job ON events (job, seq) WHERE job IS NOT NULL;

CREATE TABLE logs (
    job BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    phase TEXT,
    attempt INTEGER,
    level TEXT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    digest TEXT NOT NULL,
    owner BLOB NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (digest, owner)
) STRICT;
CREATE INDEX blobs_owner ON blobs (owner);

CREATE TABLE slugs (
    slug TEXT PRIMARY KEY,
    job BLOB NOT NULL,
    place INTEGER NOT NULL,
    wish TEXT NOT NULL,
    UNIQUE (job, place)
) STRICT;
CREATE INDEX slugs_wish ON slugs (wish);

CREATE TABLE sites (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    job BLOB NOT NULL,
    revision INTEGER NOT NULL,
    publication TEXT NOT NULL,
    published_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sites_job ON sites (job);

CREATE TABLE hosts (
    host TEXT PRIMARY KEY,
    report TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    lease_ms INTEGER
) STRICT;

CREATE TABLE pipelines (
    name TEXT PRIMARY KEY,
    entry TEXT NOT NULL
) STRICT;

CREATE TABLE requests (
    key TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    job BLOB NOT NULL
) STRICT;
CREATE INDEX requests_job ON requests (job);

CREATE TABLE sessions (
    digest TEXT PRIMARY KEY,
    expires INTEGER NOT NULL
) STRICT;
