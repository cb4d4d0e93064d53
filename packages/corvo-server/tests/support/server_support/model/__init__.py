"""What a server should do, written a second time and without looking at the first: plain dicts."""
