-- Who submitted a job: a token's short digest, or `local`. Faults of a plugin count by it.
ALTER TABLE jobs ADD COLUMN submitter text NOT NULL DEFAULT 'local';
CREATE INDEX jobs_submitter ON jobs (submitter);

-- What each file of the plugin folder held, so that a rollback finds its way on any host and
-- through restarts. The bytes are blobs of nobody's.
CREATE TABLE plugin_generations (
    file text NOT NULL,
    digest text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    at bigint NOT NULL,                 -- when it was swapped in, the last time
    PRIMARY KEY (file, digest)
);
CREATE INDEX plugin_generations_digest ON plugin_generations (digest);
CREATE INDEX plugin_generations_name ON plugin_generations (name);

-- Calls that faulted. They are judged together, by `pipeline::blame`.
CREATE TABLE plugin_faults (
    digest text NOT NULL,
    job uuid NOT NULL,
    submitter text NOT NULL,
    step text NOT NULL,
    message text NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX plugin_faults_digest ON plugin_faults (digest, at);

-- Digests that may not answer.
CREATE TABLE plugin_holds (
    digest text PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('rolled-back', 'quarantined')),
    message text NOT NULL,
    at bigint NOT NULL
);

-- Recorded calls, the newest of each plugin.
CREATE TABLE plugin_calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL,
    step text NOT NULL,
    job uuid NOT NULL,
    at bigint NOT NULL,
    size bigint NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX plugin_calls_name ON plugin_calls (name, id);
CREATE INDEX plugin_calls_job ON plugin_calls (job);
