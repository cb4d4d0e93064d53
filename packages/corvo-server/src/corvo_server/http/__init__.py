"""The HTTP face of the engine: parse, one call of the engine, serialise."""
