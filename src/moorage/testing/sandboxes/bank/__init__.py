"""Sandboxes of vendors of bank accounts."""
