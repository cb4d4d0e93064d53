"""What the machine, and the load generator, can do at most: servers that do nothing."""
