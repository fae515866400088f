"""Shared state of protections: commands, stored bytes, keys and encryption."""
