"""File storage vendors."""
