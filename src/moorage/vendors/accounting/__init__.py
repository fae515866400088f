"""Accounting vendors."""
