"""Requests of the client methods: pure functions, one file per resource."""
