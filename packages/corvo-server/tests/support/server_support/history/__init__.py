"""Random histories of calls, compared with an independent model of the server."""
