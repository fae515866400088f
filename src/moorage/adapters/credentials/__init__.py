"""Credential providers."""
