"""Vendors of bank accounts."""
