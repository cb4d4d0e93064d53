"""Load over raw HTTP/1.1, by processes that cost little: `ceilings` has their own limit."""
