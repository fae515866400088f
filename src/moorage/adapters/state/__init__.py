"""Stores of shared state."""
