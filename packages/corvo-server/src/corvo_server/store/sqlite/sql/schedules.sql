-- name: find_schedule
-- An id takes precedence over an equal name.
SELECT schedules.*, schedule_options.options
FROM schedules LEFT JOIN schedule_options ON schedule_options.schedule = schedules.id
WHERE name = ?1 OR (?2 AND id = ?1)
ORDER BY id = ?1 DESC LIMIT 1;

-- name: list_schedules
SELECT schedules.*, schedule_options.options
FROM schedules LEFT JOIN schedule_options ON schedule_options.schedule = schedules.id
ORDER BY name;

-- name: due_schedules
SELECT schedules.*, schedule_options.options
FROM schedules LEFT JOIN schedule_options ON schedule_options.schedule = schedules.id
WHERE is_paused = 0 AND next_run <= ? ORDER BY next_run LIMIT ?;

-- name: next_occurrence
SELECT min(next_run) FROM schedules WHERE is_paused = 0;

-- name: save_schedule
INSERT INTO schedules VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name,
    queue = excluded.queue,
    cron = excluded.cron,
    timezone = excluded.timezone,
    payload = excluded.payload,
    priority = excluded.priority,
    max_retries = excluded.max_retries,
    unique_key = excluded.unique_key,
    unique_period = excluded.unique_period,
    tags = excluded.tags,
    misfire = excluded.misfire,
    updated_at = excluded.updated_at,
    next_run = excluded.next_run,
    is_paused = excluded.is_paused,
    last_run = excluded.last_run,
    last_job_id = excluded.last_job_id,
    last_skipped = excluded.last_skipped,
    last_skip_reason = excluded.last_skip_reason;

-- name: delete_schedule
DELETE FROM schedules WHERE id = ?;

-- name: save_schedule_options
INSERT INTO schedule_options (schedule, options) VALUES (?, ?)
ON CONFLICT (schedule) DO UPDATE SET options = excluded.options;

-- name: delete_schedule_options
DELETE FROM schedule_options WHERE schedule = ?;
