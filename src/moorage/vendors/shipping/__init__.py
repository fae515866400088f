"""Shipping vendors."""
