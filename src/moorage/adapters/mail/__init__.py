"""Transports of email."""
