"""Generate load over raw HTTP/1.1 at little CPU cost. The ceilings show its limit."""
