"""Local sandboxes that imitate shipping vendors."""
