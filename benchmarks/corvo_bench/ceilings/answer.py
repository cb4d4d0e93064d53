"""The answer of the servers that do nothing. It looks like the answer to an enqueue."""

ANSWER = b'{"job_id":"job_01ARZ3NDEKTSV4RRFFQ69G5FAV","status":"pending","unique_existing":false}'


def announce(port: int) -> None:
    """Print the URL of the server."""
    print(f"listening on http://127.0.0.1:{port}", flush=True)
