"""Local sandboxes that imitate chat vendors."""
