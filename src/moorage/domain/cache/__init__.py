"""Rules for storing HTTP answers in a cache and reusing them."""
