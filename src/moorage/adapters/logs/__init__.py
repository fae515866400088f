"""Stores of the integration log."""
