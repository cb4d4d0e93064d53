"""Servers that do nothing. They show the limits of the machine and of the load generator."""
