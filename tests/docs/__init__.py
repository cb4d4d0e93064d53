"""Tests of the documentation as a site, and of what operators copy out of it."""
