"""Idempotency keys: at most one effect per key."""
