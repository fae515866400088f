"""Shared state: commands, bytes, keys and encryption."""
