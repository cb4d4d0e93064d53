"""Bulk operations: selection of jobs, dry run, confirmation, execution and progress."""
