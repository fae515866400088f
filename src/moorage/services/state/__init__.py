"""The operations on shared state while its store, or a node of it, is unavailable."""
