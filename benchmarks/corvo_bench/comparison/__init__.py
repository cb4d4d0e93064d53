"""Compare Corvo with other systems at the same work, each on its own backend."""
