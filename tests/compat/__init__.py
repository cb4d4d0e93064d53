"""The SDKs that others wrote, against our server: `nox -s compat`."""
