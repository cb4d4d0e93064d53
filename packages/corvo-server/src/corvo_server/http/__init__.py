"""The HTTP API: parse a request, make one call of the engine, serialise the reply."""
