"""Several servers on one PostgreSQL database, under load and faults."""
