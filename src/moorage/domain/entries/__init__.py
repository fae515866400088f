"""The entries of an inbox or outbox, and their leases."""
