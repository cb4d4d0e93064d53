"""Tests of releases: packages, versions, workflows."""
