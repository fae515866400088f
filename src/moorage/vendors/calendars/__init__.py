"""Calendar vendors."""
