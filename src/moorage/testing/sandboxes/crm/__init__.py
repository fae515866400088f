"""The sandboxes of customer relationship management."""
