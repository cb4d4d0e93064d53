"""Corvo's server: background jobs over plain HTTP/JSON."""
