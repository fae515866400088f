"""Vendors that publish exchange rates."""
