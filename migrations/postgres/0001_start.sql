-- Times are milliseconds since 1970 in UTC, by this database's clock unless said otherwise.
-- JSON is kept as text: what is written comes back to the letter, also U+0000, which jsonb refuses.

-- Which store this is. Labels of containers and channels of wake-ups carry it.
CREATE TABLE installation (
    id text NOT NULL
);
INSERT INTO installation SELECT left(replace(gen_random_uuid()::text, '-', ''), 12);

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name_folded text NOT NULL,          -- lowercase, for the search
    pipeline text NOT NULL,
    group_key text,
    priority integer NOT NULL,
    revision bigint NOT NULL,
    root text,
    status text NOT NULL
        CHECK (status IN ('queued', 'waiting', 'running', 'succeeded', 'failed', 'cancelled')),
    wait_until bigint,
    ready boolean NOT NULL,             -- may be claimed: queued, or waiting and found to be due
    cancel_requested boolean NOT NULL DEFAULT false,
    lease bigint NOT NULL DEFAULT 0,    -- only grows
    host text,
    lease_until bigint,
    event_seq bigint NOT NULL DEFAULT 0,
    log_seq bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,         -- by the clock of the host that took it in
    finished_at bigint,                 -- by the clock of the host that ended it
    body text NOT NULL,                 -- the whole job; the columns rule where both say a thing
    CHECK ((status = 'running') = (host IS NOT NULL)),
    CHECK ((status = 'running') = (lease_until IS NOT NULL))
) WITH (fillfactor = 70);               -- heartbeats and counters change a row in place

-- What a claim reads. States are literals here and in the statements, or the planner misses it.
CREATE INDEX jobs_ready ON jobs (priority DESC, number)
    WHERE status IN ('queued', 'waiting') AND ready;
CREATE INDEX jobs_due ON jobs (wait_until) WHERE status = 'waiting' AND NOT ready;
CREATE INDEX jobs_running ON jobs (host) WHERE status = 'running';
CREATE INDEX jobs_status ON jobs (status, number);

-- Job events are numbered by the job's row, whose lock orders them. `xid` orders the stream over
-- all jobs: a reader stops before the oldest transaction that is still open.
CREATE TABLE events (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    job uuid,
    seq bigint NOT NULL,
    kind text NOT NULL,
    at bigint NOT NULL,
    phase text,
    attempt bigint,
    data text NOT NULL,
    PRIMARY KEY (xid, id)
);
CREATE UNIQUE INDEX events_job ON events (job, seq) WHERE job IS NOT NULL;

CREATE TABLE logs (
    job uuid NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    phase text,
    attempt bigint,
    level text NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (job, seq)
);

-- Bytes by digest. Each job has its own copy, so that deleting a job asks nobody else; those of
-- no job have the owner of zeros.
CREATE TABLE blobs (
    digest text NOT NULL,
    owner uuid NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (digest, owner)
);
CREATE INDEX blobs_owner ON blobs (owner);

-- Whose an address is, also before anything is published there.
CREATE TABLE slugs (
    slug text PRIMARY KEY,
    job uuid NOT NULL,
    place bigint NOT NULL,              -- which of the job's sites
    wish text NOT NULL,
    UNIQUE (job, place)
);
CREATE INDEX slugs_wish ON slugs (wish);

CREATE TABLE sites (
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    slug text PRIMARY KEY,
    job uuid NOT NULL,
    revision bigint NOT NULL,
    publication text NOT NULL,
    published_at bigint NOT NULL
);
CREATE INDEX sites_job ON sites (job);

CREATE TABLE hosts (
    host text PRIMARY KEY,
    report text NOT NULL,
    seen_at bigint NOT NULL,
    lease_ms bigint                     -- of its last heartbeat
);

CREATE TABLE pipelines (
    name text PRIMARY KEY,
    entry text NOT NULL
);

-- Which request made which job.
CREATE TABLE requests (
    key text PRIMARY KEY,
    body text NOT NULL,                 -- digest
    job uuid NOT NULL
);
CREATE INDEX requests_job ON requests (job);

CREATE TABLE sessions (
    digest text PRIMARY KEY,
    expires bigint NOT NULL
);
