"""Local SMS vendors."""
