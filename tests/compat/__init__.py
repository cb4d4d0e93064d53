"""Third-party SDKs against this server: `nox -s compat`."""
