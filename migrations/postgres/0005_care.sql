-- What is known of each provider, over all hosts: a breaker as JSON, judged by `pipeline::Breaker`.
CREATE TABLE breakers (
    provider text PRIMARY KEY,
    body text NOT NULL
);

-- Workspaces of jobs that have ended, taken away by their age or by the room that they took. A row
-- is written before anything is removed: `going` until the folder is out of the way.
CREATE TABLE workspaces_gone (
    job uuid PRIMARY KEY,
    host text NOT NULL,                 -- who removes it
    at bigint NOT NULL,
    going boolean NOT NULL
);

-- Events of no job, for those who trim them. There are few.
CREATE INDEX events_nobody ON events (at) WHERE job IS NULL;
