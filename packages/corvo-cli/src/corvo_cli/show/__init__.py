"""The output of commands: the server's JSON, or views for people."""
