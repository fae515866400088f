"""The flows of shared state for the time when its store, or a part of it, is unavailable."""
