"""The scenarios that measure Corvo, one kind per file. A scenario yields one value per metric."""
