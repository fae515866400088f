"""Vendors that check VAT numbers or calculate taxes."""
