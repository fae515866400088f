"""Shop vendors."""
