"""Local sandboxes that imitate payment vendors."""
