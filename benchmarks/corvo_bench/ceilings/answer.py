"""The answer of the servers that do nothing; it looks like that of an enqueue."""

ANSWER = b'{"job_id":"job_01ARZ3NDEKTSV4RRFFQ69G5FAV","status":"pending","unique_existing":false}'


def announce(port: int) -> None:
    """Say where requests are taken."""
    print(f"listening on http://127.0.0.1:{port}", flush=True)
