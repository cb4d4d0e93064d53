"""Valid and invalid requests, generated from the OpenAPI description: `nox -s fuzz`."""
