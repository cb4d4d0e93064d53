"""The server in several processes: one that writes, and front-ends that speak HTTP."""
