-- name: read_clock
-- The offset of the wall clock, and the time of the newest event.
SELECT coalesce((SELECT wall_offset FROM clock), 0),
       (SELECT at FROM events ORDER BY id DESC LIMIT 1);

-- name: set_wall_offset
INSERT INTO clock VALUES (1, ?1)
ON CONFLICT (is_one) DO UPDATE SET wall_offset = ?1 WHERE wall_offset = ?2;
