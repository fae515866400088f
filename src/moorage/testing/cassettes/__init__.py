"""Recorded exchanges with vendors, to be replayed in tests."""
