"""Sandboxes of vendors that check VAT numbers."""
