"""SMS vendors."""
