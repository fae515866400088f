"""Local sandboxes that imitate shops."""
