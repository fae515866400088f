"""The migrations of moorage's tables."""
