"""Credentials, and the ways in which a request carries them."""
