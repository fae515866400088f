"""Clients of secret managers."""
