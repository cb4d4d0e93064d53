"""Support for tests: clocks, engines under test, PostgreSQL servers, child processes, waiting."""
