"""Vendors of electronic signatures."""
