"""Local email vendors."""
