"""Benchmarks of Corvo and of other job queues. Each run accounts for every job."""
