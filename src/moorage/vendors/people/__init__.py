"""Vendors of people directories."""
