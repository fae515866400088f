"""The default HTTP client, on the standard library."""
