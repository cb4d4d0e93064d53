-- works with servers of schema version: 1

-- The wall-clock time minus the server's time, the sum of the jumps of the wall clock. All times in
-- other tables are server times, except the occurrences of schedules. No row: 0.
CREATE TABLE clock (
    is_one      INTEGER PRIMARY KEY CHECK (is_one = 1),
    wall_offset INTEGER NOT NULL
) STRICT;
