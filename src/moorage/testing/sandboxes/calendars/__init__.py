"""Local sandboxes that imitate vendors of calendars."""
