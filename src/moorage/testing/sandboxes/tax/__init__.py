"""Sandboxes of vendors that check VAT numbers or calculate taxes."""
