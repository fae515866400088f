"""Idempotency keys, each of which has at most one effect."""
