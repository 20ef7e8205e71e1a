-- Limits on how many jobs of a pipeline or of a group run at once, how often a group's may start,
-- and pauses. A job that one of them keeps back stands in a line and not in the ready index.
CREATE TABLE gates (
    kind text NOT NULL CHECK (kind IN ('all', 'pipeline', 'group')),
    name text NOT NULL,                 -- empty of `all`; `*` of groups that have no gate yet
    capacity integer CHECK (capacity > 0),
    rate_jobs integer CHECK (rate_jobs > 0),
    rate_ms bigint CHECK (rate_ms > 0),
    paused boolean NOT NULL DEFAULT false,
    own boolean NOT NULL DEFAULT true,  -- false: made from `*`, and follows it
    next_start bigint,                  -- of the rate: when the jobs let through are paid for
    open_at bigint,                     -- its line is to be looked at, by whoever claims next
    PRIMARY KEY (kind, name),
    CHECK ((rate_jobs IS NULL) = (rate_ms IS NULL))
);
CREATE INDEX gates_open ON gates (open_at) WHERE open_at IS NOT NULL;
CREATE INDEX gates_paused ON gates (kind, name) WHERE paused;

-- What a claim goes by, lowest first: when the job came, less a minute for each point of priority.
ALTER TABLE jobs ADD COLUMN rank bigint NOT NULL DEFAULT 0;
UPDATE jobs SET rank = created_at - CAST(priority AS bigint) * 60000
    WHERE status IN ('queued', 'waiting', 'running');
-- `pause`, `group` or `pipeline`; none where the job is ready, runs, rests or waits for a time.
ALTER TABLE jobs ADD COLUMN line text;
-- Given when its line let it through, and counted while it is ready, runs, or stands in a later
-- line. What is counted is rows, so that a host that dies leaks nothing.
ALTER TABLE jobs ADD COLUMN group_slot boolean NOT NULL DEFAULT false;
ALTER TABLE jobs ADD COLUMN pipeline_slot boolean NOT NULL DEFAULT false;
-- The container engine that has its agent; none where any will do.
ALTER TABLE jobs ADD COLUMN engine text;

DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (rank, number) WHERE status IN ('queued', 'waiting') AND ready;
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (wait_until) WHERE status = 'waiting' AND NOT ready AND line IS NULL;
CREATE INDEX jobs_line_group ON jobs (group_key, rank, number) WHERE line = 'group';
CREATE INDEX jobs_line_pipeline ON jobs (pipeline, rank, number) WHERE line = 'pipeline';
CREATE INDEX jobs_line_pause ON jobs (pipeline, rank, number) WHERE line = 'pause';
CREATE INDEX jobs_group_slots ON jobs (group_key)
    WHERE group_slot AND (status = 'running' OR ready OR line = 'pipeline');
CREATE INDEX jobs_pipeline_slots ON jobs (pipeline)
    WHERE pipeline_slot AND (status = 'running' OR ready);
-- For `unique`.
CREATE INDEX jobs_group_open ON jobs (group_key, number)
    WHERE group_key IS NOT NULL AND status IN ('queued', 'waiting', 'running');
