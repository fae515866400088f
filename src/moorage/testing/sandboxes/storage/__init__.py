"""Local sandboxes that imitate storage vendors."""
