-- As for PostgreSQL, where it is explained.
CREATE TABLE gates (
    kind TEXT NOT NULL CHECK (kind IN ('all', 'pipeline', 'group')),
    name TEXT NOT NULL,
    capacity INTEGER CHECK (capacity > 0),
    rate_jobs INTEGER CHECK (rate_jobs > 0),
    rate_ms INTEGER CHECK (rate_ms > 0),
    paused INTEGER NOT NULL DEFAULT 0,
    own INTEGER NOT NULL DEFAULT 1,
    next_start INTEGER,
    open_at INTEGER,
    PRIMARY KEY (kind, name),
    CHECK ((rate_jobs IS NULL) = (rate_ms IS NULL))
) STRICT;
CREATE INDEX gates_open ON gates (open_at) WHERE open_at IS NOT NULL;
CREATE INDEX gates_paused ON gates (kind, name) WHERE paused;

ALTER TABLE jobs ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET rank = created_at - priority * 60000
    WHERE status IN ('queued', 'waiting', 'running');
ALTER TABLE jobs ADD COLUMN line TEXT;
ALTER TABLE jobs ADD COLUMN group_slot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN pipeline_slot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN engine TEXT;

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
CREATE INDEX jobs_group_open ON jobs (group_key, number)
    WHERE group_key IS NOT NULL AND status IN ('queued', 'waiting', 'running');
