-- SQLite keeps no dead versions of rows. The schemas of both databases go by the same versions.
SELECT 1;
