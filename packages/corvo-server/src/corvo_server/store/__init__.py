"""Where jobs are kept: the contract of a store, and its implementations."""
