"""A run's results as a page for people. Pure: results in, text and pictures out."""
