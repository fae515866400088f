"""Chat vendors."""
