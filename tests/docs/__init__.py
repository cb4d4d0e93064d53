"""Tests of the documentation site and of the alert rules."""
