"""Vendors of books."""
