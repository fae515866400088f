"""Local sandboxes that imitate accounting vendors."""
