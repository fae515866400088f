"""Local sandboxes that imitate directories of people."""
