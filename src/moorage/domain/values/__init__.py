"""Small values and functions that every part uses."""
