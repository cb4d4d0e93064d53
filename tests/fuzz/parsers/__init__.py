"""Coverage-guided fuzzing of everything that reads text of strangers.

`python -m fuzz.parsers NAME --seconds 60` runs one target; `TARGETS` has them all.
"""
