# Generated from src/corvo_client/_async/__init__.py by scripts/gen_sync.py. Do not edit.
"""The client for plain code."""
