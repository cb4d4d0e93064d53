"""Storage of jobs: the contract of a store, and its implementations."""
