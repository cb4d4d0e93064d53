"""What a command prints: JSON as the server sent it, or views for people."""
