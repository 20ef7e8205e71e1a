-- Every job is a dead version of its row by the time it has ended, and all jobs are kept for a while.
-- At the default, a fifth of the table, what is dead grows with what is kept: a day's jobs, then a
-- month's. A hundredth follows the work instead.
ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.01);
