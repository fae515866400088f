"""Sandboxes that imitate vendors that give access to bank accounts."""
