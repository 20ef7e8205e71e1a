-- As for PostgreSQL, where it is explained.
CREATE TABLE accounts (
    kind TEXT NOT NULL CHECK (kind IN ('run', 'phase', 'job', 'group', 'day')),
    name TEXT NOT NULL,
    job BLOB,
    spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
    assumed INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    requests INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, name)
) STRICT;
CREATE INDEX accounts_job ON accounts (job) WHERE job IS NOT NULL;

CREATE TABLE purses (
    run TEXT NOT NULL,
    lease INTEGER NOT NULL,
    day TEXT NOT NULL,
    job BLOB NOT NULL,
    phase TEXT NOT NULL,
    group_key TEXT,
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    turn INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    PRIMARY KEY (run, lease, day)
) STRICT;
CREATE INDEX purses_job ON purses (job);

CREATE TABLE budgets (
    kind TEXT NOT NULL CHECK (kind IN ('phase', 'job', 'group', 'day')),
    name TEXT NOT NULL,
    job BLOB,
    micro_usd INTEGER NOT NULL CHECK (micro_usd >= 0),
    PRIMARY KEY (kind, name)
) STRICT;
CREATE INDEX budgets_job ON budgets (job) WHERE job IS NOT NULL;
