"""Rules for storing HTTP responses in a cache and reusing them."""
