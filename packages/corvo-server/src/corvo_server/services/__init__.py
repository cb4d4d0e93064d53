"""The server's background loops, one role each."""
