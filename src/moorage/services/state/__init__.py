"""Shared state while its store, or a part of it, is unavailable."""
