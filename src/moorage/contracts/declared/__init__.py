"""The declarations of the contracts: each is one class, whose methods are the operations."""
