"""The stored entries of an inbox or outbox, and the leases of the workers that process them."""
