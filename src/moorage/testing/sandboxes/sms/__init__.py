"""Local sandboxes that imitate SMS vendors."""
