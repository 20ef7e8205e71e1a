-- As for PostgreSQL, where it is explained.
ALTER TABLE jobs ADD COLUMN submitter TEXT NOT NULL DEFAULT 'local';
CREATE INDEX jobs_submitter ON jobs (submitter);

CREATE TABLE plugin_generations (
    file TEXT NOT NULL,
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (file, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX plugin_generations_digest ON plugin_generations (digest);
CREATE INDEX plugin_generations_name ON plugin_generations (name);

CREATE TABLE plugin_faults (
    digest TEXT NOT NULL,
    job BLOB NOT NULL,
    submitter TEXT NOT NULL,
    step TEXT NOT NULL,
    message TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX plugin_faults_digest ON plugin_faults (digest, at);

CREATE TABLE plugin_holds (
    digest TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('rolled-back', 'quarantined')),
    message TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    step TEXT NOT NULL,
    job BLOB NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX plugin_calls_name ON plugin_calls (name, id);
CREATE INDEX plugin_calls_job ON plugin_calls (job);
