"""Sandboxes of vendors of exchange rates."""
