"""Stores of inbox and outbox entries."""
