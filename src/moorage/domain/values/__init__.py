"""Small values and functions that the whole package uses."""
