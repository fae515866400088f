"""Local payment vendors."""
