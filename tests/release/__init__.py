"""Tests of what is released: packages, versions, workflows."""
