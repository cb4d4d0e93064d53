"""The server's background services, one task each."""
