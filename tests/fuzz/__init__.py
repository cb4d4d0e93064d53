"""Requests made from the server's OpenAPI description, right and wrong: `nox -s fuzz`."""
