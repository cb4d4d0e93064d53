-- works with servers of schema version: 1

-- The clock of the database minus the time of the servers, in ms: the sum of the jumps of that
-- clock. All times in other tables are server times, except the occurrences of schedules and the end
-- of the leader lease. No row: 0.
CREATE TABLE clock (
    is_one      boolean PRIMARY KEY CHECK (is_one),
    wall_offset bigint NOT NULL
);

-- The time of the servers in ms. clock_timestamp() is the time at which a statement runs.
CREATE FUNCTION server_time() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
           - coalesce((SELECT wall_offset FROM clock), 0)
$$;
