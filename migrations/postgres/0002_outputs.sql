-- Up to which byte of an agent's output events and lines came of it. Written in the transaction
-- that adds them, so that a piece is told once, however often a host stops in between.
CREATE TABLE outputs (
    job uuid NOT NULL,
    run text NOT NULL,
    told bigint NOT NULL,
    PRIMARY KEY (job, run)
);
