"""Vendors that send and receive electronic invoices."""
