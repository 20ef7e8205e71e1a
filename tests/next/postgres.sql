-- What the next version may do to a database that hosts of this one use: only add. Columns have
-- constant defaults, so that what older hosts insert stays right.
ALTER TABLE jobs ADD COLUMN colour text NOT NULL DEFAULT 'none';
ALTER TABLE events ADD COLUMN origin text;
CREATE INDEX jobs_colour ON jobs (colour) WHERE status = 'running';
CREATE TABLE moods (
    job uuid PRIMARY KEY,
    body text NOT NULL
);
INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
VALUES (1000, 'colours', true, '\x00', 0);
