-- name: insert_tag
INSERT INTO job_tags (segment, key, value, job_seq) VALUES (?, ?, ?, ?);

-- name: state_counts
SELECT name, scheduled, pending, active, retrying, completed, dead, cancelled FROM queues;

-- name: seq_range
SELECT coalesce((SELECT min(seq) FROM jobs), 1), coalesce((SELECT max(seq) FROM jobs), 0);

-- name: seq_before
-- The seq at which a chunk of jobs that ends at a given seq begins; 0 if fewer jobs are left.
SELECT coalesce((SELECT seq FROM jobs WHERE seq <= ? ORDER BY seq DESC LIMIT 1 OFFSET ?), 0);

-- name: job_from_seq
SELECT seq, created_at FROM jobs WHERE seq >= ? ORDER BY seq LIMIT 1;
