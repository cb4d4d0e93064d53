"""Searches: filters, conditions in jq, sort orders, and their SQL."""
