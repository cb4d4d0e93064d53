"""What is sent for each method of the client: pure functions, one file per resource."""
