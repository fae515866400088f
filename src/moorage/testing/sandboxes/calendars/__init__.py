"""Local sandboxes that imitate calendar vendors."""
