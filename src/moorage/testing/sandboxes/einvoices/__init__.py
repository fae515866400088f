"""Sandboxes of vendors that send and receive electronic invoices."""
