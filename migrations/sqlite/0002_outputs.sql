-- As for PostgreSQL, where it is explained.
CREATE TABLE outputs (
    job BLOB NOT NULL,
    run TEXT NOT NULL,
    told INTEGER NOT NULL,
    PRIMARY KEY (job, run)
) STRICT, WITHOUT ROWID;
