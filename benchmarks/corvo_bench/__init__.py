"""Measures Corvo, and the peers beside it, with every job accounted for."""
