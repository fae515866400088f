"""Acme as a vendor for mooring."""
