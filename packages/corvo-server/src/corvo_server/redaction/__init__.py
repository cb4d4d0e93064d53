"""Masks secret values of payloads: the rules that mark them, and the masking. No I/O, no roles."""
