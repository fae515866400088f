"""Sandboxes that imitate vendors of language models."""
