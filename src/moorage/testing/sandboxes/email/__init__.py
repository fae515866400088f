"""Local sandboxes that imitate email vendors."""
