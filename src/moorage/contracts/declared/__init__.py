"""The declarations of the contracts: each is one class, and its methods are the operations."""
