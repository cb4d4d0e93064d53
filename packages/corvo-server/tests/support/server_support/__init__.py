"""What the server's tests share: a clock that stands still, engines under test, their calls."""
