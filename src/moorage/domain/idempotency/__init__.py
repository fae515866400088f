"""Idempotency keys: each key has at most one effect."""
