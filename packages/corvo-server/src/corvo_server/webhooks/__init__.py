"""Signatures of webhooks, the addresses they may reach, and the HTTP client that sends them."""
