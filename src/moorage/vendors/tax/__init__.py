"""Vendors that check VAT numbers."""
