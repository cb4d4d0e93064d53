-- name: find_key_usage
SELECT name, waiting, bytes FROM key_usage WHERE name = ?;

-- name: add_key_usage
INSERT INTO key_usage (name, waiting, bytes) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    waiting = waiting + excluded.waiting, bytes = bytes + excluded.bytes;

-- name: recount_key_usage
-- After a transfer, whose rows do not include these sums.
INSERT INTO key_usage (name, waiting, bytes)
SELECT charged_to, count(*) FILTER (WHERE state IN (0, 1, 3)), sum(charged_bytes)
FROM jobs WHERE charged_to IS NOT NULL GROUP BY charged_to;

-- name: wrong_key_usage
WITH sums AS (
    SELECT name, waiting, bytes, 0 AS jobs, 0 AS job_bytes FROM key_usage
    UNION ALL
    SELECT charged_to, 0, 0, iif(state IN (0, 1, 3), 1, 0), charged_bytes
    FROM jobs WHERE charged_to IS NOT NULL
)
SELECT name, sum(waiting), sum(bytes), sum(jobs), sum(job_bytes) FROM sums GROUP BY name
HAVING (sum(waiting), sum(bytes)) <> (sum(jobs), sum(job_bytes));

-- name: wrong_charges
SELECT id, charged_bytes FROM jobs
WHERE charged_bytes <> iif(charged_to IS NULL, 0, length(CAST(payload AS BLOB)));
