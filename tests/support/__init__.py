"""What the tests across packages share: real server processes, raw requests, waiting, checking."""
