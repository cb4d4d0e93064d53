"""Searches: filters, jq conditions and orders, and the SQL that expresses them."""
