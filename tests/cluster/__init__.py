"""Several servers on one PostgreSQL, and what may happen to them."""
