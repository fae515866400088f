"""Credentials, and how a request carries them."""
