"""Payment vendors."""
