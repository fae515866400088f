"""Stores of cached responses."""
