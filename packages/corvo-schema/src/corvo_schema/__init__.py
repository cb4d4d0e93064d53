"""The wire models of Corvo."""
