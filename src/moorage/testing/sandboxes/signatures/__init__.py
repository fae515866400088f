"""Sandboxes that imitate vendors of electronic signatures."""
