"""A live view of a server in the terminal."""
