"""Idempotency keys: each allows at most one effect."""
