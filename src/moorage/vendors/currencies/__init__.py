"""Vendors of exchange rates."""
