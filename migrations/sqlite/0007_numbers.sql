-- Numbers of events need no stock here: there is one connection that writes. The schemas of both
-- databases go by the same versions.
SELECT 1;
