"""Local shipping vendors."""
