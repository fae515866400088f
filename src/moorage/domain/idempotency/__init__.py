"""One effect per key."""
