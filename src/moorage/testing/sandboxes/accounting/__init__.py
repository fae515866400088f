"""Local sandboxes that imitate vendors of books."""
