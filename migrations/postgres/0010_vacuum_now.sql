-- The server's pauses during a pass stretch it with the table, and what is dead meanwhile with it.
-- The rows of jobs are small beside all else that is kept, so a pass over them may go on at once.
ALTER TABLE jobs SET (autovacuum_vacuum_cost_delay = 0);
