-- name: state_counts
SELECT scheduled, pending, active, retrying, completed, dead, cancelled FROM queue_counts
WHERE %(names)s::json IS NULL OR queue IN (SELECT json_array_elements_text(%(names)s::json));

-- name: seq_before
-- The seq at which a chunk of jobs that ends at a given seq begins; 0 if fewer jobs are left.
SELECT coalesce((SELECT seq FROM jobs WHERE seq <= %s ORDER BY seq DESC LIMIT 1 OFFSET %s), 0);
