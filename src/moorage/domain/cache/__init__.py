"""Reuse of HTTP answers."""
