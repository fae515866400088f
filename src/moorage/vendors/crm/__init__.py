"""The vendors of customer relationship management."""
