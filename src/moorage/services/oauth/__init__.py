"""OAuth flows."""
