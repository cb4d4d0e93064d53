-- name: next_times
SELECT (SELECT min(scheduled_at) FROM jobs WHERE state IN (0, 3)),
       (SELECT min(lease_expires_at) FROM jobs WHERE state = 2),
       (SELECT min(expire_at) FROM jobs WHERE state IN (0, 1, 3) AND expire_at IS NOT NULL),
       (SELECT min(next_run) FROM schedules WHERE NOT is_paused);
