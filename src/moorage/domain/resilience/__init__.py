"""Limits, circuits, retries and budgets."""
