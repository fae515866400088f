"""Acme as a vendor for moorage."""
