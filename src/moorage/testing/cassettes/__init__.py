"""Recorded exchanges with vendors, for tests."""
