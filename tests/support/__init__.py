"""Shared code of the tests across packages: server processes, raw requests, load and checkers."""
