"""Support of the server's tests: clocks, storage engines, and short forms of calls."""
