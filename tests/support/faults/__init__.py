"""Faults of disks and processes that tests inject, and what they record of a server's calls."""
