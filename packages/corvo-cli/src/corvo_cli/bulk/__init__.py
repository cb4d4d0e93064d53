"""One action on many jobs: which they are, a look before, the work and its progress."""
