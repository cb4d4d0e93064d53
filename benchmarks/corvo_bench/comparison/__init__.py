"""Corvo and other systems at the same work, each on a backend started for it."""
