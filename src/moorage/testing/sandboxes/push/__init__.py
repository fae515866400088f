"""Sandboxes that imitate push vendors."""
