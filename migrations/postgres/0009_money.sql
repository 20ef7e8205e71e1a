-- What was spent and what is set aside of it, in millionths of a dollar, of each thing that can have
-- a budget: a run, a phase of a revision, a job, a group's day, a day.
CREATE TABLE accounts (
    kind text NOT NULL CHECK (kind IN ('run', 'phase', 'job', 'group', 'day')),
    name text NOT NULL,
    job uuid,                           -- with which it goes; none of groups and days
    spent bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
    assumed bigint NOT NULL DEFAULT 0,  -- of what is spent: taken at its dearest, since nobody said
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    requests bigint NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    cache_read_tokens bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, name)
);
CREATE INDEX accounts_job ON accounts (job) WHERE job IS NOT NULL;

-- What a holder has set aside for a run, by the day whose accounts it is in. It is booked in full
-- where that holder doesn't say what became of it.
CREATE TABLE purses (
    run text NOT NULL,
    lease bigint NOT NULL,
    day text NOT NULL,
    job uuid NOT NULL,
    phase text NOT NULL,                -- the name of the phase's account
    group_key text,
    reserved bigint NOT NULL CHECK (reserved >= 0),
    turn bigint NOT NULL,               -- the last one that touched it: done again, it changes nothing
    granted bigint NOT NULL,            -- by that turn
    PRIMARY KEY (run, lease, day)
);
CREATE INDEX purses_job ON purses (job);

-- Budgets that a person gave, in place of the pipeline's. A group's and the day's are of every day;
-- the group `*` stands for those without their own.
CREATE TABLE budgets (
    kind text NOT NULL CHECK (kind IN ('phase', 'job', 'group', 'day')),
    name text NOT NULL,
    job uuid,
    micro_usd bigint NOT NULL CHECK (micro_usd >= 0),
    PRIMARY KEY (kind, name)
);
CREATE INDEX budgets_job ON budgets (job) WHERE job IS NOT NULL;
