"""What is measured on Corvo, one kind a file: each takes one value of each of its metrics."""
