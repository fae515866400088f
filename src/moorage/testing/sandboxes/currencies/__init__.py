"""Sandboxes that imitate vendors that publish exchange rates."""
