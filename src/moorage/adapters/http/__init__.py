"""HTTP clients, by library."""
